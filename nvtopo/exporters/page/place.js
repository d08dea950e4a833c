// Elements that are drawn once they are near to what is seen, and children that are moved only where they have to.

// `draw` is called once for each watched element, before it comes into view.
export function whenNear(draw, margin = "100% 0px") {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: margin });
  return watcher;
}

// These and no others, in this order.
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling; else parent.insertBefore(child, at);
  }
}

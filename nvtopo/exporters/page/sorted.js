// Members in an order of their own, found by halving. No two of them are equal in that order.

export class Sorted {
  constructor(compare) {
    this.compare = compare;
    this.members = [];
  }

  // Where it is, or would be.
  at(member) {
    let low = 0;
    let high = this.members.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(this.members[middle], member) < 0) low = middle + 1; else high = middle;
    }
    return low;
  }

  has(member) {
    const at = this.at(member);
    return at < this.members.length && this.compare(this.members[at], member) === 0;
  }

  add(member) {
    if (!this.has(member)) this.members.splice(this.at(member), 0, member);
  }

  remove(member) {
    if (this.has(member)) this.members.splice(this.at(member), 1);
  }
}

export const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// Of lists, member by member; the shorter of two that begin alike comes first.
export function orderOfLists(one, other, compare = order) {
  for (let at = 0; at < Math.min(one.length, other.length); at += 1) {
    const found = compare(one[at], other[at]);
    if (found) return found;
  }
  return one.length - other.length;
}

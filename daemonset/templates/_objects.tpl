{{- /*
The manifests of this folder as `kubectl kustomize` gives them: `.objects` of the state that is handed in gets one dict for each.

Both ways of installing read the same files, so they can't drift apart. Kustomizations have resources, components and
JSON patches (RFC 6902: add, remove, replace); anything else in one is an error and not silently left out.

    (dict "files" .Files "folder" "" "objects" list)
*/ -}}
{{- define "nvtopo.kustomization" -}}
  {{- $state := . -}}
  {{- $here := .folder -}}
  {{- $file := printf "%skustomization.yaml" $here -}}
  {{- $text := .files.Get $file | required (printf "%s: no such file in the chart" $file) -}}
  {{- $kustomization := fromYaml $text -}}
  {{- with omit $kustomization "apiVersion" "kind" "resources" "components" "patches" -}}
    {{- fail (printf "%s: the chart knows resources, components and patches, not %s" $file (keys . | sortAlpha | join ", ")) -}}
  {{- end -}}
  {{- range $kustomization.resources -}}
    {{- $place := printf "%s%s" $here . -}}
    {{- $documents := $state.files.Get $place | required (printf "%s: no such file in the chart" $place) -}}
    {{- range regexSplit "(?m)^---[ ]*$" $documents -1 -}}
      {{- $object := fromYaml . -}}
      {{- if hasKey $object "Error" -}}{{- fail (printf "%s: %s" $place $object.Error) -}}{{- end -}}
      {{- if eq ($object.kind | default "") "CustomResourceDefinition" -}}
        {{- /* As text: a number beyond 2^53, as its schema has, does not survive fromYaml. */ -}}
        {{- $object = dict "kind" $object.kind "metadata" $object.metadata "text" . -}}
      {{- end -}}
      {{- if $object -}}{{- $_ := set $state "objects" (append $state.objects $object) -}}{{- end -}}
    {{- end -}}
  {{- end -}}
  {{- range $kustomization.components -}}
    {{- $_ := set $state "folder" (printf "%s%s/" $here .) -}}
    {{- include "nvtopo.kustomization" $state -}}
  {{- end -}}
  {{- range $patch := $kustomization.patches -}}
    {{- $found := false -}}
    {{- range $object := $state.objects -}}
      {{- if and (eq $object.kind $patch.target.kind) (eq $object.metadata.name $patch.target.name) -}}
        {{- $found = true -}}
        {{- range fromYamlArray $patch.patch -}}
          {{- $path := list -}}
          {{- range splitList "/" (trimPrefix "/" .path) -}}
            {{- $path = append $path (. | replace "~1" "/" | replace "~0" "~") -}}
          {{- end -}}
          {{- include "nvtopo.patch" (dict "at" $object "path" $path "op" .op "value" .value) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
    {{- if not $found -}}{{- fail (printf "%s: no object for the patch of %s" $file (toJson $patch.target)) -}}{{- end -}}
  {{- end -}}
{{- end -}}

{{- /* One operation, on what lies at `path` below the dict `at`. Of lists it knows their elements and their end (`-`). */ -}}
{{- define "nvtopo.patch" -}}
  {{- $key := first .path -}}
  {{- $rest := rest .path -}}
  {{- if not $rest -}}
    {{- if eq .op "remove" -}}
      {{- $_ := unset .at $key -}}
    {{- else -}}
      {{- $_ := set .at $key .value -}}
    {{- end -}}
  {{- else -}}
    {{- $child := index .at $key -}}
    {{- if not (kindIs "slice" $child) -}}
      {{- include "nvtopo.patch" (merge (dict "at" $child "path" $rest) (omit . "at" "path")) -}}
    {{- else if rest $rest -}}
      {{- include "nvtopo.patch" (merge (dict "at" (index $child (first $rest | int)) "path" (rest $rest)) (omit . "at" "path")) -}}
    {{- else if and (eq .op "add") (eq (first $rest) "-") -}}
      {{- $_ := set .at $key (append $child .value) -}}
    {{- else -}}
      {{- fail (printf "patch %s of /%s: the chart only adds to the end of a list" .op (join "/" .path)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

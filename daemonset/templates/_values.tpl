{{- /* What values.yaml changes in one object, in place. What is null or empty there stays as it is in the manifests. */ -}}
{{- define "nvtopo.object" -}}
  {{- $object := .object -}}
  {{- $values := .context.Values -}}
  {{- $namespace := .context.Release.Namespace -}}
  {{- if hasKey $object.metadata "namespace" -}}
    {{- $_ := set $object.metadata "namespace" $namespace -}}
  {{- end -}}
  {{- range $object.subjects -}}
    {{- if hasKey . "namespace" -}}{{- $_ := set . "namespace" $namespace -}}{{- end -}}
  {{- end -}}
  {{- if and (eq $object.kind "DaemonSet") (ne $object.metadata.name "nvtopo-agent") -}}
    {{- /* Beside the agent, on its nodes. */ -}}
    {{- $where := pick $values.agent "nodeSelector" "affinity" "priorityClassName" -}}
    {{- include "nvtopo.workload" (dict "object" $object "of" $where "context" .context) -}}
  {{- else if eq $object.kind "DaemonSet" -}}
    {{- include "nvtopo.workload" (dict "object" $object "of" $values.agent "context" .context) -}}
    {{- with $values.agent.maxUnavailable -}}
      {{- $_ := set $object.spec.updateStrategy.rollingUpdate "maxUnavailable" . -}}
    {{- end -}}
    {{- with $values.agent.runtimeClassName -}}
      {{- $_ := set $object.spec.template.spec "runtimeClassName" . -}}
    {{- end -}}
  {{- else if eq $object.kind "Deployment" -}}
    {{- include "nvtopo.workload" (dict "object" $object "of" $values.aggregator "context" .context) -}}
    {{- with $values.aggregator.clusterName -}}
      {{- $container := first $object.spec.template.spec.containers -}}
      {{- $_ := set $container "args" (append $container.args (printf "--cluster-name=%s" .)) -}}
    {{- end -}}
    {{- with $values.aggregator.replicas -}}
      {{- $_ := set $object.spec "replicas" . -}}
    {{- end -}}
  {{- else if and (eq $object.kind "CustomResourceDefinition") $values.crd.keep -}}
    {{- $keep := "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n" -}}
    {{- $_ := set $object "text" (regexReplaceAll "(?m)^metadata:\n" $object.text $keep) -}}
  {{- else if hasPrefix "monitoring.coreos.com/" ($object.apiVersion | default "") -}}
    {{- with $values.monitoring.labels -}}
      {{- $_ := set $object.metadata "labels" (merge (deepCopy .) ($object.metadata.labels | default dict)) -}}
    {{- end -}}
    {{- if $values.monitoring.interval -}}
      {{- range $object.spec.endpoints -}}
        {{- $_ := set . "interval" $values.monitoring.interval -}}
      {{- end -}}
    {{- end -}}
    {{- with $values.monitoring.runbookURL -}}
      {{- range $object.spec.groups -}}
        {{- range .rules -}}
          {{- if .alert -}}
            {{- $_ := set .annotations "runbook_url" (printf "%s#%s" $values.monitoring.runbookURL (lower .alert)) -}}
          {{- end -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /* The same for what the pods of agent and aggregator have in common. */ -}}
{{- define "nvtopo.workload" -}}
  {{- $image := .context.Values.image -}}
  {{- $of := .of -}}
  {{- $pod := .object.spec.template.spec -}}
  {{- range concat ($pod.initContainers | default list) $pod.containers -}}
    {{- $_ := set . "image" (printf "%s:%s" $image.repository ($image.tag | default $.context.Chart.AppVersion)) -}}
    {{- if $image.digest -}}{{- $_ := set . "image" (printf "%s@%s" $image.repository $image.digest) -}}{{- end -}}
    {{- $_ := set . "imagePullPolicy" $image.pullPolicy -}}
  {{- end -}}
  {{- with $image.pullSecrets -}}
    {{- $_ := set $pod "imagePullSecrets" . -}}
  {{- end -}}
  {{- range $field := list "nodeSelector" "affinity" "tolerations" "priorityClassName" -}}
    {{- if and (hasKey $of $field) (not (kindIs "invalid" (index $of $field))) -}}{{- $_ := set $pod $field (index $of $field) -}}{{- end -}}
  {{- end -}}
  {{- $container := first $pod.containers -}}
  {{- with $of.resources -}}
    {{- $_ := set $container "resources" . -}}
  {{- end -}}
  {{- with $of.extraArgs -}}
    {{- $_ := set $container "args" (concat $container.args .) -}}
  {{- end -}}
{{- end -}}

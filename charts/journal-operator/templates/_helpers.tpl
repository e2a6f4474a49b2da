{{- define "journal-operator.name" -}}
{{- default "journal-operator" .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Found by the NetworkPolicies of clusters: never another name. */}}
{{- define "journal-operator.selector" -}}
app.kubernetes.io/name: journal-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "journal-operator.labels" -}}
{{ include "journal-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "journal-operator.account" -}}
{{- default (include "journal-operator.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "journal-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* "true" where they are wanted and the API server knows them. */}}
{{- define "journal-operator.podMonitors" -}}
{{- if and .Values.monitoring.podMonitors (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- end -}}
{{- end -}}

{{/* NAME=VALUE with commas: labels of the PodMonitors that the operator makes. */}}
{{- define "journal-operator.podMonitorLabels" -}}
{{- $labels := list -}}
{{- range $name, $value := .Values.monitoring.labels -}}
{{- $labels = append $labels (printf "%s=%s" $name $value) -}}
{{- end -}}
{{- join "," $labels -}}
{{- end -}}

{{/* What the operator does in each namespace that it keeps; docs/kubernetes.md says why. */}}
{{- define "journal-operator.rules" -}}
- apiGroups: [journal.dev]
  resources: [journalclusters]
  verbs: [get, list, watch]
- apiGroups: [journal.dev]
  resources: [journalclusters/status]
  verbs: [get, patch]
- apiGroups: ['']
  resources: [configmaps, persistentvolumeclaims, secrets, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ['']
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if include "journal-operator.podMonitors" . }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{- define "journal-cluster.name" -}}
{{- default .Release.Name .Values.nameOverride -}}
{{- end -}}
{{- define "journal-cluster.labels" -}}
app.kubernetes.io/name: journal-cluster
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

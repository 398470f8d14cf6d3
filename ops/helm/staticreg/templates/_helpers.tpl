{{- define "staticreg.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "staticreg.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "staticreg.labels" -}}
{{ include "staticreg.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "staticreg.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Whether servers have a volume. */}}
{{- define "staticreg.hasVolume" -}}
{{- if or (eq .Values.store.kind "sqlite") (and (eq .Values.store.kind "postgresql") .Values.volume.enabled) -}}
yes
{{- end -}}
{{- end -}}

{{/* Secrets that are files: a list of the folder, the Secret, its key, the variable that names the file. */}}
{{- define "staticreg.secretFiles" -}}
{{- if eq .Values.store.kind "postgresql" }}
- {folder: database, secret: {{ .Values.store.urlSecret.name }}, key: {{ .Values.store.urlSecret.key }}, variable: STATICREG_DB_URL_FILE}
{{- end }}
{{- with .Values.webhook.tokensSecret }}{{ if .name }}
- {folder: tokens, secret: {{ .name }}, key: {{ .key }}, variable: STATICREG_WEBHOOK_TOKENS_FILE}
{{- end }}{{ end }}
{{- with .Values.webhook.signatureSecretsSecret }}{{ if .name }}
- {folder: signatures, secret: {{ .name }}, key: {{ .key }}, variable: STATICREG_WEBHOOK_SIGNATURE_SECRETS_FILE}
{{- end }}{{ end }}
{{- with .Values.access.usersSecret }}{{ if .name }}
- {folder: users, secret: {{ .name }}, key: {{ .key }}, variable: STATICREG_ACCESS_USERS_FILE}
{{- end }}{{ end }}
{{- with .Values.registry.passwordSecret }}{{ if .name }}
- {folder: registry, secret: {{ .name }}, key: {{ .key }}, variable: STATICREG_REGISTRY_PASSWORD_FILE}
{{- end }}{{ end }}
{{- end -}}

{{/* Refuses what would lose counts or tell secrets. */}}
{{- define "staticreg.check" -}}
{{- if and (gt (int .Values.replicaCount) 1) (ne .Values.store.kind "postgresql") -}}
{{- fail (printf "replicaCount is %d, but counts in %s belong to one server: set replicaCount to 1, or store.kind to postgresql." (int .Values.replicaCount) .Values.store.kind) -}}
{{- end -}}
{{- if and (eq .Values.store.kind "postgresql") (not .Values.store.urlSecret.name) -}}
{{- fail "store.urlSecret.name is empty: name the Secret whose key holds PostgreSQL's URL, such as postgres://staticreg:PASSWORD@postgres:5432/staticreg." -}}
{{- end -}}
{{- $places := dict
      "STATICREG_DB_URL" "store.urlSecret"
      "STATICREG_REGISTRY_PASSWORD" "registry.passwordSecret"
      "STATICREG_WEBHOOK_TOKENS" "webhook.tokensSecret"
      "STATICREG_WEBHOOK_SIGNATURE_SECRETS" "webhook.signatureSecretsSecret"
-}}
{{- range $secret, $place := $places -}}
{{- if hasKey $.Values.settings $secret -}}
{{- fail (printf "settings.%s is a secret, which everybody would read in the manifest: put it into a Secret and name that in %s." $secret $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "staticreg.probe" -}}
httpGet:
  path: /healthz
  port: http
  {{- if .Values.tls.secretName }}
  scheme: HTTPS
  {{- end }}
{{- end -}}

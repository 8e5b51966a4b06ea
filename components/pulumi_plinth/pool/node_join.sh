# Runs OKE's own start of a node, which user data of one's own replaces: without it the node never joins.
# Begun by cloud-init last. MODE, KUBELET, FAILED and FAILED_TAINT are set above.
set -uo pipefail

INIT=${PLINTH_INIT:-/var/run/oke-init.sh}
INSTALL=${PLINTH_INSTALL:-/etc/oke/oke-install.sh}
ATTEMPTS=30
PAUSE=${PLINTH_PAUSE:-10}

log() { echo "plinth-join: $*"; }

metadata() {
  # Version 2 of the metadata service, by either family of addresses.
  local base
  for base in http://169.254.169.254 "http://[fd00:c1::a9fe:a9fe]"; do
    curl --fail --silent --show-error --globoff --max-time 10 --header "Authorization: Bearer Oracle" \
      "$base/opc/v2/instance/metadata/$1" && return 0
  done
  return 1
}

extra_arguments() {
  local arguments=$KUBELET
  if [[ -e $FAILED ]]; then
    if [[ $arguments == *--register-with-taints=* ]]; then
      arguments=${arguments/--register-with-taints=/--register-with-taints=$FAILED_TAINT,}
    else
      arguments="$arguments --register-with-taints=$FAILED_TAINT"
    fi
  fi
  echo "${arguments# }"
}

join_managed() {
  metadata oke_init_script | base64 --decode >"$INIT" && [[ -s $INIT ]] || return 1
  run bash "$INIT"
}

join_self() {
  local endpoint certificate
  endpoint=$(metadata apiserver_host) && certificate=$(metadata cluster_ca_cert) || return 1
  if [[ -e $INSTALL ]]; then
    run bash "$INSTALL" --apiserver-endpoint "$endpoint" --kubelet-ca-cert "$certificate"
  else
    run oke bootstrap --apiserver-host "$endpoint" --ca "$certificate"
  fi
}

run() {
  # From here on it is OKE's affair: what it begins is not begun a second time.
  local arguments
  arguments=$(extra_arguments)
  if [[ -n $arguments ]]; then
    exec "$@" --kubelet-extra-args "$arguments"
  fi
  exec "$@"
}

for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
  "join_$MODE"
  log "attempt $attempt of $ATTEMPTS: the metadata service gave nothing to start with"
  sleep "$PAUSE"
done
exit 1

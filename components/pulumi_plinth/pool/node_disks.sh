# Makes a node's disks as large as they are bought: the boot volume to its end, free NVMe drives one striped file system.
# Begun by cloud-init before the node joins. DRIVES, MODELS, NVME and FAILED are set above.
set -uo pipefail

STABLE=${PLINTH_FSTAB:-/etc/fstab}
KUBELET=${PLINTH_KUBELET:-/var/lib/kubelet}
LABEL=plinth

log() { echo "plinth-disks: $*"; }

grow_root() {
  # The volume's partition is made for the image; kubelet reads the size when it starts, so this comes first.
  local grow
  if grow=$(PATH="$PATH:/usr/libexec" command -v oci-growfs); then
    "$grow" -y || log "the boot volume could not be grown"
  else
    log "no oci-growfs here, cloud-init grows the boot volume itself"
  fi
}

free_drives() {
  # NVMe drives that hold no partition, no array and no mounted file system.
  lsblk --noheadings --nodeps --paths --output NAME,TYPE | while read -r name type; do
    [[ $type == disk && $name == */nvme* ]] || continue
    [[ $(lsblk --noheadings --output NAME "$name" | wc -l) -eq 1 ]] || continue
    [[ -z $(lsblk --noheadings --output MOUNTPOINT "$name" | tr -d '[:space:]') ]] || continue
    echo "$name"
  done
}

make_file_system() {
  local drives=("$@") target=$1
  if ((${#drives[@]} > 1)); then
    target=/dev/md/plinth
    mdadm --create "$target" --run --level=0 --name=plinth --raid-devices=${#drives[@]} "${drives[@]}" || return 1
  fi
  mkfs.xfs -f -L "$LABEL" "$target"
}

mount_drives() {
  # A boot volume that was replaced finds the drives as they were: their weights are kept.
  mdadm --assemble --scan 2>/dev/null || true
  if ! blkid -L "$LABEL" >/dev/null; then
    local drives
    mapfile -t drives < <(free_drives)
    if ((${#drives[@]} == 0)); then
      log "no free NVMe drive, models stay on the boot volume"
      return 0
    fi
    log "one file system on ${#drives[@]} drives: ${drives[*]}"
    make_file_system "${drives[@]}" || return 1
  fi
  always "LABEL=$LABEL $DRIVES xfs defaults,noatime,nofail 0 2"
  mountpoint -q "$DRIVES" || mount "$DRIVES" || return 1
  # Pods fetch weights below the kubelet's folder, and its file system is what the scheduler counts: it goes to the
  # drives too. What an earlier boot volume left there is another node's life; models are the same for all.
  mountpoint -q "$KUBELET" || rm -rf "$DRIVES/kubelet"
  move kubelet "$KUBELET" && move models "$MODELS"
}

move() {
  # Puts a folder onto the drives, with what is in it now.
  local there=$DRIVES/$1 here=$2
  mountpoint -q "$here" && return 0
  mkdir -p "$here" "$there"
  cp --archive "$here/." "$there" || return 1
  always "$there $here none bind,nofail,x-systemd.requires-mounts-for=$DRIVES 0 0"
  mount "$here" || return 1
  if command -v restorecon >/dev/null; then restorecon -R "$here"; fi
}

always() {
  # A line of fstab, once: the next boot finds everything mounted.
  grep --quiet --line-regexp --fixed-strings "$1" "$STABLE" || echo "$1" >>"$STABLE"
}

mkdir -p "$DRIVES" "$MODELS" "$(dirname "$FAILED")"
grow_root
if [[ $NVME == raid0 ]] && ! mount_drives; then
  log "the NVMe drives could not be mounted; the node will keep pods away"
  touch "$FAILED"
fi
exit 0

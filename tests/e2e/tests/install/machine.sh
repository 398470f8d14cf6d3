# What a machine does with the package; debian_package.rs reads what this says.
say() { echo "$1: $2"; }
trap 'journalctl --no-pager --unit staticreg | sed "s/^/journal: /"' EXIT
state() { systemctl show staticreg --property "$1" --value; }

# A machine that is busy with much else may need more than one start; what each said is told at the end.
is_active() {
    for _ in $(seq 600); do
        systemctl is-active --quiet staticreg && "$@" && return
        sleep 0.2
    done
}

dpkg --install /out/staticreg.deb
is_active true
say enabled "$(systemctl is-enabled staticreg)"
say active "$(systemctl is-active staticreg)"
say health "$(/usr/bin/staticreg health && echo well)"
main=$(state MainPID)
say user "$(stat --format %U "/proc/$main")"
say rights "$(sed -n 's/^CapBnd:\t//p' "/proc/$main/status")"

systemctl reload staticreg
say reloaded "$(systemctl is-active staticreg) $([ "$(state MainPID)" = "$main" ] && echo same)"

# One that hangs is started anew.
mkdir -p /etc/systemd/system/staticreg.service.d
printf '[Service]\nWatchdogSec=5s\n' >/etc/systemd/system/staticreg.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart staticreg || is_active true
before=$(state NRestarts)
is_anew() { [ "$(state NRestarts)" -gt "$before" ]; }
systemctl kill --signal STOP staticreg
is_active is_anew
say anew "$(/usr/bin/staticreg health && echo well)"

dpkg --remove staticreg
say removed "$(systemctl is-active staticreg)"
say counts "$(ls /var/lib/private/staticreg)"

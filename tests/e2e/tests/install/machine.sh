# What a machine does with the package; debian_package.rs reads what this says.
say() { echo "$1: $2"; }
state() { systemctl show staticreg --property "$1" --value; }

dpkg --install /out/staticreg.deb
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
systemctl restart staticreg
systemctl kill --signal STOP staticreg
until [ "$(state NRestarts)" -ge 1 ] && systemctl is-active --quiet staticreg; do sleep 0.2; done
say anew "$(/usr/bin/staticreg health && echo well)"

dpkg --remove staticreg
say removed "$(systemctl is-active staticreg)"
say counts "$(ls /var/lib/private/staticreg)"
journalctl --no-pager --unit staticreg | sed 's/^/journal: /'

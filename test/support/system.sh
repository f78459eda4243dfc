#!/bin/sh
# Gets what the tests need from the system. Quiet, and done at once, when everything is there.
# No service is started or enabled: the tests run an sshd of their own on 127.0.0.1 and end it.
set -eu

# sshd lives where only root's PATH leads.
PATH="$PATH:/usr/sbin:/usr/local/sbin"

# Programs that bring hooks of their own come from npm, without their scripts: they would set themselves up in this repository.
tools=$(dirname "$0")/tools
if ! cmp -s "$tools/package-lock.json" "$tools/node_modules/.installed"; then
  npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  cp "$tools/package-lock.json" "$tools/node_modules/.installed"
fi

missing() {
  for tool in sshd ssh ssh-keygen git git-lfs openssl shellcheck pre-commit; do
    command -v "$tool" >/dev/null || echo "$tool"
  done
}

case "$(missing)" in
'') exit 0 ;;
esac

packages='openssh-server openssh-client git git-lfs openssl shellcheck pre-commit'
if [ "$(uname)" = Darwin ]; then
  echo "The tests need: $(missing | xargs). Get it with: brew install git git-lfs openssl shellcheck pre-commit" >&2
  exit 1
elif ! command -v apt-get >/dev/null; then
  echo "The tests need: $(missing | xargs). Get it from this system's packages (on Debian: $packages)." >&2
  exit 1
elif [ "$(id -u)" != 0 ]; then
  echo "The tests need: $(missing | xargs). Get it with: sudo sh test/support/system.sh" >&2
  exit 1
fi

had_sshd=$(command -v sshd || true)
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e "$policy" ]; then
  # Debian starts what it installs, unless this file says no (101). One that stands already is somebody's decision.
  trap 'rm -f "$log" "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

install() {
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install $packages
}

echo "Getting $(missing | xargs) for the tests…" >&2
if ! { install || { apt-get -qq update && install; }; } </dev/null >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
if [ -z "$had_sshd" ] && command -v systemctl >/dev/null; then
  # The package enables its service for the next boot. Where no systemd runs there is nothing to stop.
  systemctl disable --quiet ssh.service ssh.socket >/dev/null 2>&1 || true
  if [ -d /run/systemd/system ]; then systemctl stop ssh.service ssh.socket >/dev/null 2>&1 || true; fi
fi

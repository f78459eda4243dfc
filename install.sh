#!/bin/sh
# Installs oxenvcs for one user: builds it here and puts the command into ~/.local/bin. See `./install.sh --help`.
set -eu
unset CDPATH

usage() {
  cat <<'END'
./install.sh [DIR] [--prefix P] [--no-service] [--demo] [--uninstall [--purge]]

  DIR            also make this folder a project, and watch it in the background
  --prefix P     put the command into P/bin (default: ~/.local)
  --no-service   start nothing in the background
  --demo         run the demo instead: the whole story in a temporary folder
  --uninstall    take away what was put into P; projects and vaults stay
  --purge        with --uninstall: ask whether the vaults may go, too
END
}

say() { printf '%s\n' "$1"; }

# fail WHAT HAPPENED, WHAT TO DO [, EXIT CODE]
fail() {
  printf 'install.sh: %s\n  %s\n' "$1" "$2" >&2
  exit "${3:-1}"
}

wrong_usage() { fail "$1" "See ./install.sh --help." 2; }

# --- What is asked for -----------------------------------------------------------------------------------------------

[ -n "${HOME:-}" ] || fail 'HOME is not set.' 'Run it as the user who will use oxenvcs.'
prefix=$HOME/.local
dir=
service=yes
demo=no
uninstall=no
purge=no

take_dir() {
  [ -z "$dir" ] || wrong_usage 'Only one folder at a time can be set up.'
  [ -n "$1" ] || wrong_usage 'The name of the folder is empty.'
  dir=$1
}

while [ $# -gt 0 ]; do
  case $1 in
  --prefix)
    [ $# -ge 2 ] || wrong_usage '--prefix needs a folder.'
    prefix=$2
    shift
    ;;
  --prefix=*) prefix=${1#--prefix=} ;;
  --no-service) service=no ;;
  --demo) demo=yes ;;
  --uninstall) uninstall=yes ;;
  --purge) purge=yes ;;
  -h | --help)
    usage
    exit 0
    ;;
  --)
    shift
    for one; do take_dir "$one"; done
    break
    ;;
  -*) wrong_usage "There is no option $1." ;;
  *) take_dir "$1" ;;
  esac
  shift
done

[ "$purge" = no ] || [ "$uninstall" = yes ] || wrong_usage '--purge goes with --uninstall.'
[ -z "$dir" ] || [ "$uninstall$demo" = nono ] || wrong_usage 'A folder does not go with --uninstall or --demo.'
[ -n "$prefix" ] || wrong_usage '--prefix needs a folder.'

absolute() {
  case $1 in
  /*) printf '%s' "$1" ;;
  *) printf '%s/%s' "$PWD" "${1#./}" ;;
  esac
}
prefix=$(absolute "${prefix%/}")
if [ -n "$dir" ]; then
  dir=$(absolute "$dir")
  [ -e "$dir" ] || fail "There is no folder $dir." 'Check the name, or make the folder first.' 2
fi

bin=$prefix/bin
command=$bin/oxenvcs
share=$prefix/share/oxenvcs
# What was put where, one line each: `dir PATH`, `file PATH`, `watch PROCESS PATH`.
manifest=$share/manifest
mark='# oxenvcs: put here by install.sh'

is_ours() { [ -f "$1" ] && grep -qxF -- "$mark" "$1"; }

# --- Uninstall -------------------------------------------------------------------------------------------------------

# The same place as in src/system/places.ts.
data_folder() {
  if [ -n "${XDG_DATA_HOME:-}" ]; then
    printf '%s/oxenvcs' "$XDG_DATA_HOME"
  elif [ "$(uname)" = Darwin ]; then
    printf '%s/Library/Application Support/oxenvcs' "$HOME"
  else
    printf '%s/.local/share/oxenvcs' "$HOME"
  fi
}

# Is this process still the watcher that we started?
is_watcher() {
  # A slim Debian has no ps, a Mac has no /proc.
  if [ -r "/proc/$1/cmdline" ]; then
    tr '\0' ' ' <"/proc/$1/cmdline"
  else
    ps -p "$1" -o args= 2>/dev/null
  fi | grep -q '/dist/main\.js watch '
}

stop_watcher() {
  is_watcher "$1" || return 0
  kill "$1" 2>/dev/null || return 0
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    is_watcher "$1" || break
    sleep 1
  done
  say "Not watched any more: $2"
}

take_away() {
  if [ ! -f "$manifest" ]; then
    say "Nothing of oxenvcs is installed in $prefix."
    return
  fi
  while IFS= read -r line; do
    rest=${line#* }
    case ${line%% *} in
    watch) stop_watcher "${rest%% *}" "${rest#* }" ;;
    file)
      if is_ours "$rest"; then
        rm -f -- "$rest"
        say "Removed: $rest"
      elif [ -e "$rest" ]; then
        say "Left as it is, for it is not from here: $rest"
      fi
      ;;
    esac
  done <"$manifest"
  folders=$(sed -n 's/^dir //p' "$manifest" | LC_ALL=C sort -r)
  rm -f -- "$manifest"
  # Deepest first; one that holds anything else stays.
  printf '%s\n' "$folders" | while IFS= read -r folder; do
    [ -z "$folder" ] || rmdir -- "$folder" 2>/dev/null || :
  done
  say 'oxenvcs is uninstalled. Projects stay as they are, with all their versions; so do vaults.'
}

if [ "$uninstall" = yes ]; then
  data=$(data_folder)
  if [ "$purge" = yes ] && [ -d "$data" ] && ! [ -t 0 ]; then
    fail "--purge would delete $data, and there is nobody to ask." \
      'Run it in a terminal, or look into that folder and delete it by hand. Nothing was uninstalled.' 2
  fi
  take_away
  if [ "$purge" = yes ] && [ -d "$data" ]; then
    say ''
    say "$data holds the vaults: of projects without a remote they are the only other copy of the versions."
    say 'It also holds the Git data of projects that lie in synced folders.'
    printf 'Type "delete" to delete it for good: '
    read -r answer || answer=
    if [ "$answer" = delete ]; then
      rm -rf -- "$data"
      say "Deleted: $data"
    else
      say 'Nothing more was deleted.'
    fi
  fi
  exit 0
fi

# --- What is needed --------------------------------------------------------------------------------------------------

# at_least VERSION MAJOR MINOR
at_least() {
  major=${1%%.*}
  minor=${1#*.}
  minor=${minor%%[!0-9]*}
  case $major in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "${minor:-0}" -ge "$3" ]; }
}

get_git() {
  if [ "$(uname)" = Darwin ]; then
    printf 'Get it with: xcode-select --install'
  elif command -v apt-get >/dev/null; then
    printf 'Get it with: sudo apt-get install git'
  elif command -v dnf >/dev/null; then
    printf 'Get it with: sudo dnf install git'
  elif command -v pacman >/dev/null; then
    printf 'Get it with: sudo pacman -S git'
  else
    printf 'Get it from https://git-scm.com/downloads'
  fi
  printf ', then run this again.'
}

get_node() {
  if command -v brew >/dev/null; then
    printf 'Get it with: brew install node'
  elif [ -d "${NVM_DIR:-$HOME/.nvm}" ]; then
    printf 'Get it with: nvm install --lts'
  else
    printf 'Get it from https://nodejs.org/en/download'
  fi
  printf ', then run this again.'
}

# On a Mac without the developer tools there is a git that only asks to install them.
git_version=$(git --version 2>/dev/null) || fail 'Git was not found.' "$(get_git)"
git_version=${git_version#git version }
git_version=${git_version%% *}
at_least "$git_version" 2 32 || fail "Git $git_version is too old; 2.32 or newer is needed." "$(get_git)"

node_version=$(node --version 2>/dev/null) || fail 'Node was not found; 20.19 or newer is needed.' "$(get_node)"
node_version=${node_version#v}
at_least "$node_version" 20 19 || fail "Node $node_version is too old; 20.19 or newer is needed." "$(get_node)"
command -v npm >/dev/null || fail 'npm was not found; it comes with Node.' "$(get_node)"
# The program itself, not the stand-in of a version manager: programs with a window start with a bare PATH.
node=$(node -p process.execPath)
say "Git $git_version and Node $node_version are there."

for name in oxenvcs oxenvcs-cli; do
  if { [ -e "$bin/$name" ] || [ -L "$bin/$name" ]; } && ! is_ours "$bin/$name"; then
    fail "$bin/$name is there already and is not from this installer." \
      'Move it out of the way, or choose another place with --prefix.'
  fi
done

# --- Build -----------------------------------------------------------------------------------------------------------

# Where this script really is, also through links.
script=$(absolute "$0")
while [ -L "$script" ]; do
  target=$(readlink "$script")
  case $target in
  /*) script=$target ;;
  *) script=${script%/*}/$target ;;
  esac
done
here=$(cd -P -- "${script%/*}/" && pwd)
[ -f "$here/package-lock.json" ] || fail "$here does not hold oxenvcs." 'Run install.sh inside the folder that it came in.'

log=$(mktemp "${TMPDIR:-/tmp}/oxenvcs-install.XXXXXX")

# quietly WHAT IT IS, COMMAND…: its output is only of interest if it fails.
quietly() {
  what=$1
  shift
  say "$what…"
  if ! (cd -- "$here" && "$@") >>"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    fail "$what: that did not work." "What it said is in $log. Mend that (is the network there?), then run this again."
  fi
}

# The same lock file and the same Node need no second installation, and so no network.
stamp=$here/dist/.dependencies
dependencies="$(cksum <"$here/package-lock.json") $node_version"
if [ -d "$here/node_modules" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$dependencies" ]; then
  say 'What oxenvcs is built with is there already.'
else
  rm -f -- "$stamp"
  # Our own build comes next; no package needs a script to be installed.
  quietly 'Getting what oxenvcs is built with (about a minute)' \
    npm ci --include=dev --ignore-scripts --prefer-offline --no-audit --no-fund --no-update-notifier
fi
quietly 'Building' npm run build
printf '%s\n' "$dependencies" >"$stamp"
version=$("$node" "$here/dist/main.js" --version 2>>"$log" </dev/null) ||
  fail 'The program that was built does not run.' "What it said is in $log."
rm -f -- "$log"

# --- Put it there ----------------------------------------------------------------------------------------------------

made=
make_folder() {
  [ -d "$1" ] && return 0
  make_folder "$(dirname -- "$1")"
  mkdir -- "$1" 2>/dev/null || fail "$1 cannot be made." 'Choose another place with --prefix.'
  made="$made
dir $1"
}

note() { grep -qxF -- "$1" "$manifest" || printf '%s\n' "$1" >>"$manifest"; }

# As one word of a shell script.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

put() {
  {
    printf '#!/bin/sh\n%s\n' "$mark"
    printf '# Programs with a window start with a bare PATH: Node is named as it was found, and looked for if it has moved.\n'
    printf 'node=%s\n' "$(quoted "$node")"
    # shellcheck disable=SC2016 # these are for the script that is written
    printf '[ -x "$node" ] || node=$(command -v node) || {\n  echo "oxenvcs: Node was not found. Install it, then run install.sh again." >&2\n  exit 1\n}\n'
    # shellcheck disable=SC2016
    printf 'exec "$node" %s "$@"\n' "$(quoted "$here/dist/main.js")"
  } >"$1.tmp" || fail "$1 cannot be written." 'Choose another place with --prefix.'
  chmod 755 "$1.tmp"
  mv -f -- "$1.tmp" "$1"
}

make_folder "$bin"
make_folder "$share"
touch "$manifest"
printf '%s\n' "$made" | while IFS= read -r line; do
  [ -z "$line" ] || note "$line"
done
for name in oxenvcs oxenvcs-cli; do
  note "file $bin/$name"
  put "$bin/$name"
done
say "oxenvcs $version is installed: $command"

case :$PATH: in
*":$bin:"*) ;;
*)
  say "$bin is not on your PATH. To type just \`oxenvcs\`, run this once and open a new terminal:"
  case ${SHELL:-} in
  */fish) say "  fish_add_path $(quoted "$bin")" ;;
  */zsh) say "  echo 'export PATH=\"$bin:\$PATH\"' >> ~/.zshrc" ;;
  */bash) say "  echo 'export PATH=\"$bin:\$PATH\"' >> ~/.bashrc" ;;
  *) say "  echo 'export PATH=\"$bin:\$PATH\"' >> ~/.profile" ;;
  esac
  ;;
esac

if [ "$demo" = yes ]; then
  say ''
  exec "$command" demo
fi
if [ -z "$dir" ]; then
  say "Next: $command init \"/path/to/My Song\""
  exit 0
fi

# --- The first project -----------------------------------------------------------------------------------------------

say ''
"$command" init "$dir"
# The folder that is meant may be another: the one around a package.
root=$("$command" --json init "$dir" | "$node" -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).project')

if [ "$service" = no ]; then
  say "To have every save versioned, leave this running: $command watch \"$root\""
  exit 0
fi

watch_log=$root/.oxenvcs/log/watch.log
mkdir -p -- "$root/.oxenvcs/log"
touch "$watch_log"
before=$(($(wc -c <"$watch_log")))
said() { tail -c +$((before + 1)) "$watch_log"; }

# A session of its own where there is such a program: closing the terminal does not end it.
if command -v setsid >/dev/null; then own_session=setsid; else own_session=; fi
# shellcheck disable=SC2086 # none, or one word
nohup $own_session "$command" watch "$root" >>"$watch_log" 2>&1 </dev/null &
watcher=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
  sleep 1
  if said | grep -q 'Watching ' || ! kill -0 "$watcher" 2>/dev/null; then break; fi
done
if kill -0 "$watcher" 2>/dev/null; then
  note "watch $watcher $root"
  say "Every save in $root is now versioned. What happens is told in $watch_log"
elif said | grep -q 'is being watched already'; then
  say "$root is being watched already."
else
  said >&2
  fail "$root could not be watched." "Try it in the foreground: $command watch \"$root\""
fi

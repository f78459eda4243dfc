#!/bin/sh
# Installs oxenvcs: builds it here where that is needed, and puts the program and its command below ~/.local. Run again, it
# brings what is there up to date. See `./install.sh --help`.
set -eu
unset CDPATH

usage() {
  cat <<'END'
./install.sh [DIR] [--prefix P] [--system] [--no-service] [--demo] [--uninstall [--purge]]

  DIR            also make this folder a project, and watch it in the background
  --prefix P     put the command into P/bin, the program into P/lib/oxenvcs (default: ~/.local)
  --system       for all users of this computer: into /usr/local (with sudo); starts nothing in the background
  --no-service   start nothing in the background
  --demo         run the demo instead: the whole story in a temporary folder
  --uninstall    take away what was put into P; projects, vaults and other installations stay
  --purge        with --uninstall: ask whether the vaults may go, too
END
}

# What is said is also in the log, once there is one.
log=
say() {
  printf '%s\n' "$1"
  [ -z "$log" ] || printf '%s  %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$1" >>"$log"
}

# fail WHAT HAPPENED, WHAT TO DO [, EXIT CODE]
fail() {
  # One that says nothing helps nobody.
  [ -z "$log" ] || [ -s "$log" ] || rm -f -- "$log"
  printf 'install.sh: %s\n  %s\n' "$1" "$2" >&2
  exit "${3:-1}"
}

wrong_usage() { fail "$1" "See ./install.sh --help." 2; }

# --- What is asked for -----------------------------------------------------------------------------------------------

[ -n "${HOME:-}" ] || fail 'HOME is not set.' 'Run it as the user who will use oxenvcs.'
prefix=
dir=
system=no
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
    [ -n "${2:-}" ] || wrong_usage '--prefix needs a folder.'
    prefix=$2
    shift
    ;;
  --prefix=*)
    prefix=${1#--prefix=}
    [ -n "$prefix" ] || wrong_usage '--prefix needs a folder.'
    ;;
  --system) system=yes ;;
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
[ -z "$dir" ] || [ "$system" = no ] || wrong_usage 'With --system no folder is set up: each user does that, without sudo.'
if [ "$system" = yes ]; then
  service=no
  prefix=${prefix:-/usr/local}
else
  prefix=${prefix:-$HOME/.local}
fi

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
lib=$prefix/lib/oxenvcs
share=$prefix/share/oxenvcs
# What was put where, one line each: `dir PATH`, `file PATH` (with our mark in it), `tree PATH` (all of it ours).
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

take_away() {
  if [ ! -f "$manifest" ]; then
    say "Nothing of oxenvcs is installed in $prefix."
    return
  fi
  if [ "$system" = no ] && is_ours "$command"; then
    # What it runs for this user: the background process, and hooks that would only complain. Those of another
    # installation stay.
    "$command" daemon stop --disable --own || :
    "$command" hooks uninstall --all --own || :
  fi
  while IFS= read -r line; do
    rest=${line#* }
    case ${line%% *} in
    tree)
      rm -rf -- "$rest"
      say "Removed: $rest"
      ;;
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
  rm -f -- "$manifest" "$share/install.log"
  # Deepest first; one that holds anything else stays.
  printf '%s\n' "$folders" | while IFS= read -r folder; do
    [ -z "$folder" ] || rmdir -- "$folder" 2>/dev/null || :
  done
  say 'oxenvcs is uninstalled. Projects stay, with all their versions; so do vaults.'
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
# The program itself, not the stand-in of a version manager: programs with a window start with a bare PATH.
node=$(node -p process.execPath)
if [ "$system" = yes ]; then
  case $node in "$HOME"/*) fail "Node is one user's own: $node." 'Install Node for all users first (from https://nodejs.org/en/download), or leave --system out.' ;; esac
  nearest=$prefix
  while [ ! -e "$nearest" ]; do nearest=$(dirname -- "$nearest"); done
  [ -w "$nearest" ] || fail "$prefix cannot be written to." "Run it as root: sudo $0 --system"
fi
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

log=$(mktemp "${TMPDIR:-/tmp}/oxenvcs-install.XXXXXX")

# quietly WHAT IT IS, COMMAND…: its output is only of interest if it fails.
quietly() {
  what=$1
  shift
  say "$what…"
  if ! (cd -- "$here" && as_owner "$@") >>"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    fail "$what: that did not work." "What it said is in $log. Mend that (is the network there?), then run this again."
  fi
}

# What is built in somebody's clone is theirs, also under sudo.
as_owner() {
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ]; then sudo -u "$SUDO_USER" -- "$@"; else "$@"; fi
}

if [ -f "$here/package-lock.json" ]; then
  # A clone. The same lock file and the same Node need no second installation, and so no network; the same sources no second build.
  command -v npm >/dev/null || fail 'npm was not found; it comes with Node.' "$(get_node)"
  dependencies="$(cksum <"$here/package-lock.json") $node_version"
  sources=$(cd -- "$here" && find src build.mjs package.json -type f -exec cksum {} + | LC_ALL=C sort | cksum)
  # known NAME VALUE: is that what the last run has noted?
  known() { [ -f "$here/dist/.$1" ] && [ "$(cat "$here/dist/.$1")" = "$2" ]; }
  if [ -d "$here/node_modules" ] && known dependencies "$dependencies"; then
    say 'What oxenvcs is built with is there already.'
  else
    rm -f -- "$here/dist/.dependencies" "$here/dist/.sources"
    # Our own build comes next; no package needs a script to be installed.
    quietly 'Getting what oxenvcs is built with (about a minute)' \
      npm ci --include=dev --ignore-scripts --prefer-offline --no-audit --no-fund --no-update-notifier
  fi
  if [ -f "$here/dist/main.js" ] && [ -f "$here/dist/hook.js" ] && known sources "$sources"; then
    say 'It is built already.'
  else
    quietly 'Building' npm run build
    for one in bash zsh fish; do "$node" "$here/dist/main.js" completion $one >"$here/dist/.completion.$one"; done
  fi
  printf '%s\n' "$dependencies" >"$here/dist/.dependencies"
  printf '%s\n' "$sources" >"$here/dist/.sources"
elif [ -f "$here/dist/main.js" ] && [ -f "$here/hooks/oxenvcs.sh" ]; then
  say 'It came ready built.'
else
  fail "$here does not hold oxenvcs." 'Run install.sh inside the folder that it came in.'
fi
version=$("$node" "$here/dist/main.js" --version 2>>"$log" </dev/null) ||
  fail 'The program that was built does not run.' "What it said is in $log."

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

# put_command FILE
put_command() {
  {
    printf '#!/bin/sh\n%s\n' "$mark"
    printf '# Programs with a window start with a bare PATH: Node is named as it was found, and looked for if it has moved.\n'
    printf 'node=%s\n' "$(quoted "$node")"
    # shellcheck disable=SC2016 # these are for the script that is written
    printf '[ -x "$node" ] || node=$(command -v node) || {\n  echo "oxenvcs: Node was not found. Install it, then run install.sh again." >&2\n  exit 1\n}\n'
    # shellcheck disable=SC2016
    printf 'exec "$node" %s "$@"\n' "$(quoted "$lib/dist/main.js")"
  } >"$1.tmp" || fail "$1 cannot be written." 'Choose another place with --prefix.'
  chmod 755 "$1.tmp"
  mv -f -- "$1.tmp" "$1"
}

# put_part FILE: a part of the program, in one step: an older one may be at work just now.
put_part() {
  if cmp -s -- "$here/$1" "$lib/$1"; then return 0; fi
  {
    mkdir -p -- "$(dirname -- "$lib/$1")" &&
      cp -- "$here/$1" "$lib/$1.tmp" &&
      mv -f -- "$lib/$1.tmp" "$lib/$1"
  } || fail "$lib/$1 cannot be written." 'Choose another place with --prefix.'
}

# put_completion SHELL FOLDER FILE: bash and fish look there by themselves, zsh does below /usr/local.
put_completion() {
  make_folder "$2"
  note "file $2/$3"
  { completion "$1" && printf '%s\n' "$mark"; } >"$2/$3.tmp"
  mv -f -- "$2/$3.tmp" "$2/$3"
}

completion() {
  if [ -f "$here/dist/.completion.$1" ]; then cat -- "$here/dist/.completion.$1"; else "$node" "$lib/dist/main.js" completion "$1"; fi
}

upgrades=no
[ ! -f "$manifest" ] || upgrades=yes
put_all() {
  make_folder "$bin"
  make_folder "$share"
  make_folder "$prefix/lib"
  touch "$manifest"
  note "tree $lib"
  for part in package.json dist/main.js dist/hook.js; do put_part "$part"; done
  for part in "$here"/hooks/*; do put_part "hooks/${part##*/}"; done
  for name in oxenvcs oxenvcs-cli; do
    note "file $bin/$name"
    put_command "$bin/$name"
  done
  put_completion bash "$prefix/share/bash-completion/completions" oxenvcs
  put_completion zsh "$prefix/share/zsh/site-functions" _oxenvcs
  put_completion fish "$prefix/share/fish/vendor_completions.d" oxenvcs.fish
  printf '%s\n' "$made" | while IFS= read -r line; do
    [ -z "$line" ] || note "$line"
  done
}
put_all
say "oxenvcs $version is installed: $command"
cat -- "$log" >>"$share/install.log"
rm -f -- "$log"
log=$share/install.log

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

case $system-${SHELL:-} in
no-*/zsh)
  say 'For completion of commands in zsh, put this line into ~/.zshrc, before compinit:'
  say "  fpath=($(quoted "$prefix/share/zsh/site-functions") \$fpath)"
  ;;
esac

if [ "$demo" = yes ]; then
  say ''
  exec "$command" demo
fi

if [ "$system$upgrades" = noyes ]; then
  "$command" hooks install --all
  # One that runs is the program as it was; it gives way to the new one.
  if "$command" daemon status --json 2>>"$log" | grep -q '"running":true'; then "$command" daemon start; fi
fi
if [ -z "$dir" ]; then
  if [ "$system" = yes ]; then
    say 'Next, each user: oxenvcs init "/path/to/My Song", then oxenvcs daemon start'
  else
    say "Next: $command init \"/path/to/My Song\""
  fi
  exit 0
fi

# --- The first project -----------------------------------------------------------------------------------------------

say ''
if [ "$service" = yes ]; then "$command" daemon start; fi
"$command" init "$dir" || {
  code=$?
  # What has nothing to do need not run.
  if [ "$service" = yes ] && "$command" daemon status --json 2>>"$log" | grep -q '"projects":\[\]'; then
    "$command" daemon stop
  fi
  exit "$code"
}
# The folder that is meant may be another: the one around a package.
root=$("$command" --json init "$dir" | "$node" -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).project')
if [ "$service" = yes ]; then
  say "Every save in $root is now versioned. To see how things are: $command status --project \"$root\""
fi

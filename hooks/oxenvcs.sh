# shellcheck shell=sh
# oxenvcs hook 2: what the hooks beside this file share. It is read by them, and does nothing by itself.
# Hooks run at the top of the work tree. $hook is the name of the one that reads this.
hook=${hook:-}

# Both are filled in when the hooks are installed: programs with a window start with a bare PATH.
node=''
program=''

# Runs the hook that was here before, as git would have; gives its exit code. By the hook's own name: another
# program may have renamed ours (pre-commit makes it `pre-commit.legacy`).
run_kept() {
  kept=${0%/*}/$hook.before-oxenvcs
  [ ! -x "$kept" ] || "$kept" "$@"
}

# The same where git sends something on standard input, which is in $input and serves both.
run_kept_with_input() {
  input=$(cat)
  if [ -n "$input" ]; then printf '%s\n' "$input" | run_kept "$@"; else run_kept "$@" </dev/null; fi
}

# OXENVCS_SKIP is the user's way past; OXENVCS_INTERNAL is oxenvcs itself, which has seen to all of this already.
# A linked worktree may hold a branch without a project.
is_ours() {
  [ "${OXENVCS_SKIP:-}" != 1 ] && [ "${OXENVCS_INTERNAL:-}" != 1 ] && [ -f .oxenvcs/config.json ]
}

# The team's settings that matter here, in $published and $remote. Without a process: a commit shall not be slower for it.
read_settings() {
  settings=
  while IFS= read -r line || [ -n "$line" ]; do settings=$settings$line; done <.oxenvcs/config.json
  setting branch main
  published=$value
  setting remote origin
  # shellcheck disable=SC2034 # for pre-push
  remote=$value
}

# The text of a setting, or what it is without one, in $value.
setting() {
  case $settings in
  *"\"$1\""*)
    value=${settings#*"\"$1\""}
    value=${value#*:}
    value=${value#*\"}
    value=${value%%\"*}
    ;;
  *) value=$2 ;;
  esac
}

# Is the published branch checked out? Its name is in $published then.
is_on_published() {
  read_settings
  branch=
  IFS= read -r head 2>/dev/null <"${GIT_DIR:-.git}/HEAD" || head=
  case $head in
  'ref: refs/heads/.invalid' | '') branch=$(git symbolic-ref --quiet --short HEAD) || return 1 ;;
  'ref: refs/heads/'*) branch=${head#ref: refs/heads/} ;;
  esac
  [ "$branch" = "$published" ]
}

# The text of the first field of that name in $seen, in $value; there are no quotes inside (the writer sees to that).
field() {
  value=${seen#*"\"$1\":\""}
  if [ "$value" = "$seen" ]; then value=; else value=${value%%\"*}; fi
}

# An ISO 8601 time in UTC as a number, in $digits: 20261124083000. Empty where it is none.
to_digits() {
  set -f
  IFS='-T:.Z'
  # shellcheck disable=SC2086 # it is to be split
  set -- $1
  unset IFS
  set +f
  digits=$1$2$3$4$5$6
  case $digits in *[!0-9]*) digits= ;; esac
  [ ${#digits} = 14 ] || digits=
}

# Who holds the lock of $published, as far as it is known here; in $whose: mine, other, or empty.
read_lock() {
  whose=
  seen=
  IFS= read -r seen 2>/dev/null <.oxenvcs/state/lock.json || return 0
  field branch
  [ "$value" = "$published" ] || return 0
  field expiresAt
  to_digits "$value"
  [ -n "$digits" ] && [ "$digits" -gt "$(date -u +%Y%m%d%H%M%S)" ] || return 0
  case $seen in
  *'"heldByOther":true,'*) whose=other ;;
  *'"heldByOther":false,"name":"",'*) ;;
  *'"heldByOther":false,'*) whose=mine ;;
  esac
}

# Ends the hook with 1 while somebody else holds the lock of $published; takes it where it is free. Where the remote
# cannot be asked within two seconds, what was seen last counts. Whatever is unclear is allowed.
# $1: how to go on all the same.
assert_not_locked() {
  read_lock
  [ "$whose" != mine ] || return 0
  asked=yes
  run_program lock || asked=no
  read_lock
  [ "$whose" = other ] || return 0
  field name
  name=$value
  field host
  host=$value
  field since
  since=
  case $value in
  ????-??-??T??:??*)
    minute=${value#*T*:}
    since=${value%"$minute"}
    since=" since ${since%%T*} ${since#*T}${minute%%:*} UTC"
    ;;
  esac
  {
    printf 'oxenvcs: %s holds the lock of %s, on %s%s.\n' "$name" "$published" "$host" "$since"
    [ $asked = yes ] || printf 'The remote could not be asked now: that is how it was when it was seen last.\n'
    printf 'Wait for it with: oxenvcs lock acquire --wait 10m\n%s\n' "$1"
  } >&2
  exit 1
}

# Runs the program behind the hooks: what plain sh cannot do. It ends by itself, soon.
run_program() {
  if find_node; then "$node" "$program" "$@"; else return 1; fi
}

find_node() {
  if [ ! -f "$program" ]; then
    warn_about "oxenvcs is not where it was ($program). Run: oxenvcs hooks install"
    return 1
  fi
  [ ! -x "$node" ] || return 0
  node=
  for one in "$(command -v node)" "${VOLTA_HOME:-$HOME/.volta}/bin/node" \
    /opt/homebrew/bin/node /usr/local/bin/node /home/linuxbrew/.linuxbrew/bin/node /usr/bin/node \
    "${NVM_DIR:-$HOME/.nvm}"/versions/node/*/bin/node \
    "${FNM_DIR:-$HOME/.local/share/fnm}"/node-versions/*/installation/bin/node \
    "$HOME/Library/Application Support/fnm"/node-versions/*/installation/bin/node \
    "${PROGRAMFILES:-/c/Program Files}/nodejs/node.exe"; do
    # The last that fits of a version manager is its newest.
    if [ -x "$one" ]; then node=$one; elif [ -n "$node" ]; then break; fi
  done
  [ -n "$node" ] || warn_about 'Node was not found. Install it, then run: oxenvcs hooks install'
  [ -n "$node" ]
}

# Only where somebody may miss what is not done, and once.
warned=no
warn_about() {
  case $hook-$warned in
  pre-commit-no | pre-push-no) printf 'oxenvcs: the lock is not asked for: %s\n' "$1" >&2 ;;
  esac
  warned=yes
}

# Tells the watcher, if there is one, that something was done by hand.
tell_watcher() {
  # Not with `:`: a shell ends where that cannot write.
  { printf '' >.oxenvcs/state/bell; } 2>/dev/null || :
}

# Puts the commit that was just made on the published branch into the queue.
queue_head() {
  is_on_published || return 0
  # A quote would break the JSON. Without an entry the commit still goes out: the queue is rebuilt from the history.
  case $branch in *[\"\\]*) return 0 ;; esac
  IFS= read -r commit 2>/dev/null <"${GIT_DIR:-.git}/refs/heads/$branch" ||
    commit=$(git rev-parse --verify --quiet HEAD) || return 0
  seq=$(git rev-list --count HEAD) || return 0
  padded=0000000000$seq
  while [ ${#padded} -gt 10 ]; do padded=${padded#?}; done
  queue=.oxenvcs/queue
  name=$padded-$commit.json

  # What is queued is kept alive, whatever becomes of the branch.
  git update-ref "refs/oxenvcs/queue/$commit" "$commit" 2>/dev/null || :
  # Written under another name and renamed: nobody reads half an entry.
  {
    { [ -d $queue ] || mkdir -p $queue; } &&
      printf '{"v":1,"kind":"publish","commit":"%s","branch":"%s","seq":%d,"createdAt":"%s"}\n' \
        "$commit" "$branch" "$seq" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$queue/.$name.$$.tmp" &&
      mv -f "$queue/.$name.$$.tmp" "$queue/$name"
  } 2>/dev/null || rm -f "$queue/.$name.$$.tmp"
}

"""Types command lines into an interactive shell on a terminal of its own, presses TAB after each, and prints a JSON array
of what the shell shows for them.

press-tab.py bash|zsh FOLDER LINES [SETTINGS]: FOLDER has the completions, LINES is a JSON array, and SETTINGS are lines of
the shell that load the completions.
"""

import json
import os
import pty
import re
import sys
import tempfile

shell, completions, lines, *others = sys.argv[1:]
loading = (
    others[0]
    if others
    else {
        "bash": f". '{completions}/spiped.bash'",
        "zsh": f"fpath=('{completions}' $fpath)\nautoload -U compinit\ncompinit -u -D",
    }[shell]
)
# ^X^X prints the line that is edited, after all that TAB has shown; ^U clears it.
settings = {
    "bash": f"""
PS1='READY> '
bind 'set show-all-if-ambiguous on'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
{loading}
bind -x '"\\C-x\\C-x": echo "LINE:$READLINE_LINE:"'
""",
    "zsh": f"""
PROMPT='READY> '
LISTMAX=1000
unset zle_bracketed_paste
setopt no_beep no_prompt_sp
bindkey -e
{loading}
tell() {{ print -r -- "LINE:$BUFFER:" }}
zle -N tell
bindkey '^X^X' tell
""",
}
with tempfile.TemporaryDirectory() as folder:
    for name in [".zshrc", ".bashrc"]:
        with open(os.path.join(folder, name), "w") as file:
            file.write(settings[shell])
    argv = {"bash": ["bash", "--noprofile", "--rcfile", f"{folder}/.bashrc", "-i"], "zsh": ["zsh", "-d", "-i"]}[shell]
    child, terminal = pty.fork()
    if child == 0:
        environment = dict(os.environ, HOME=folder, ZDOTDIR=folder, TERM="dumb", COLUMNS="200", LINES="100")
        os.execvpe(argv[0], argv, environment)

    def read_until(pattern: bytes) -> bytes:
        seen = b""
        while not re.search(pattern, seen):
            seen += os.read(terminal, 65536)
        return seen

    read_until(rb"READY> ")
    shown = []
    for line in json.loads(lines):
        os.write(terminal, b"\x15" + line.encode() + b"\t\x18\x18")
        shown.append(read_until(rb"LINE:[^\n]*:\r?\n").decode(errors="replace").replace("\r", ""))
    os.close(terminal)
    os.waitpid(child, 0)
print(json.dumps(shown))

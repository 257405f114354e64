"""Types words into an interactive shell on a terminal of its own, presses TAB, and prints what the shell shows.

press-tab.py bash|zsh FOLDER WORDS [SETTINGS], in which FOLDER has the completions. SETTINGS are lines that load them.
"""

import os
import pty
import re
import sys
import tempfile

shell, completions, words, *others = sys.argv[1:]
loading = (
    others[0]
    if others
    else {
        "bash": f". '{completions}/spiped.bash'",
        "zsh": f"fpath=('{completions}' $fpath)\nautoload -U compinit\ncompinit -u -D",
    }[shell]
)
# The last line is bound to ^X^X: what it prints comes after all that TAB has shown.
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
    os.write(terminal, words.encode() + b"\t\x18\x18")
    shown = read_until(rb"LINE:[^\n]*:\r?\n")
    os.close(terminal)
    os.waitpid(child, 0)
sys.stdout.write(shown.decode(errors="replace").replace("\r", ""))

#ifndef TWINSPACE_CEDIT_SHIM_H
#define TWINSPACE_CEDIT_SHIM_H

#include <histedit.h>
#include <signal.h>
#include <stdio.h>
#include <wchar.h>

// libedit sets its options through functions with variable arguments, which Swift cannot call.

static inline EditLine *twinspace_el_init(const char *program) { return el_init(program, stdin, stdout, stderr); }

static inline char *twinspace_prompt(EditLine *editor) {
    static char prompt[] = "twinspace> ";
    (void)editor;
    return prompt;
}

static inline int twinspace_el_prompt(EditLine *editor) { return el_set(editor, EL_PROMPT, twinspace_prompt); }

static inline int twinspace_el_emacs(EditLine *editor) { return el_set(editor, EL_EDITOR, "emacs"); }

static inline int twinspace_el_signal(EditLine *editor, int handled) { return el_set(editor, EL_SIGNAL, handled); }

// The next line of standard input, as its bytes are; 0 or less at the end.
static inline long twinspace_read_line(char **line, size_t *capacity) { return (long)getline(line, capacity, stdin); }

static inline unsigned char twinspace_suspend(EditLine *editor, int character) {
    (void)editor;
    (void)character;
    raise(SIGTSTP);
    return CC_REFRESH;
}

// While a line is edited the interrupt key is a key like others: it clears the line and begins a new one. Elsewhere it
// sends SIGINT as ever. Without signals the key that suspends has to do so itself.
static inline int twinspace_el_interrupt(EditLine *editor) {
    int failed = el_set(editor, EL_SETTY, "-d", "-isig", (char *)NULL);
    failed = failed ? failed : el_set(editor, EL_BIND, "-s", "^C", "^A^K^J", (char *)NULL);
    failed = failed ? failed : el_set(editor, EL_ADDFN, "suspend", "Suspend the shell", twinspace_suspend);
    return failed ? failed : el_set(editor, EL_BIND, "^Z", "suspend", (char *)NULL);
}

static inline int twinspace_el_history(EditLine *editor, History *past) {
    return el_set(editor, EL_HIST, history, past);
}

static inline int twinspace_el_complete(EditLine *editor, unsigned char (*complete)(EditLine *, int)) {
    int failed = el_set(editor, EL_ADDFN, "complete", "Complete the command", complete);
    return failed ? failed : el_set(editor, EL_BIND, "^I", "complete", (char *)NULL);
}

// el_gets writes the prompt first and sets the terminal's mode with the first character it reads: an interrupt key
// pressed in between would end the process. So the mode is set before.
static inline int twinspace_el_prepare(EditLine *editor) { return el_set(editor, EL_PREP_TERM, 1); }

static inline int twinspace_history_size(History *past, int lines) {
    HistEvent event;
    return history(past, &event, H_SETSIZE, lines);
}

static inline int twinspace_history_unique(History *past) {
    HistEvent event;
    return history(past, &event, H_SETUNIQUE, 1);
}

static inline int twinspace_history_enter(History *past, const char *line) {
    HistEvent event;
    return history(past, &event, H_ENTER, line);
}

static inline int twinspace_history_load(History *past, const char *path) {
    HistEvent event;
    return history(past, &event, H_LOAD, path);
}

static inline int twinspace_history_save(History *past, const char *path) {
    HistEvent event;
    return history(past, &event, H_SAVE, path);
}

// glibc declares it only with _XOPEN_SOURCE, which the Swift importer does not set.
extern int wcwidth(wchar_t character);

#endif

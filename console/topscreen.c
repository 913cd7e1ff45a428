/* SPDX-License-Identifier: MIT
 *
 * The live screen of `tithe top`, by ncurses.
 */
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd_top.h"
#include "prompt.h"
#include "topfeed.h"

static const char *const help_lines[] = {
    "Keys",
    "",
    "  q        leave",
    "  :        a prompt that takes tithe's verbs; 'top' there comes back",
    "  p        pause, and go on",
    "  s  S     sort by the next column, by the one before",
    "  r        reverse the order",
    "  + -      refresh less often, more often",
    "  space    refresh now",
    "  h ?      this page",
    "",
    "Columns",
    "",
    "  TARGET   what the policy lets it have (*: held by mem-set)    USED     memory it has now",
    "  ACTIVE   what it has used in the last full period of sampling",
    "  SHARED   part of USED that is in frames with others          COW/s    writes to such pages",
    "  BALLOON  what the guest has given up                          B.GOAL   what it is asked to give up",
    "  SWCUR    what of it is in swap                                SWTGT    what is to be there",
    "  ZIP      what of it is compressed in memory                   ZIPMEM   what that takes",
    "  SWIN/s   pages read from swap",
    "  TOUCH/s  pages touched for the first time                     POPS     ballooned pages touched again",
    "  G.FREE   free, as the guest sees it                           G.AVAIL  free or easily freed, likewise",
    "  CPU%     of one CPU, over all its VCPUS: up to 100 for each    C.SHARE  CPU shares",
    "",
    "CPU%: of each CPU's time, guests, the core, the steward, idle; on a narrow screen what was not idle.",
    "The bar on top: c core, o per-VM overhead, g guests, . free.",
    "",
    "Any key goes back.",
};

struct screen {
    struct context *context;
    struct topfeed feed;
    struct topview view;
    double delay_s;
    bool paused, help, leave, prompt;
};

static void draw_help(void)
{
    size_t i;

    erase();
    for (i = 0; i < sizeof help_lines / sizeof help_lines[0] && (int)i < LINES; i++)
        mvaddnstr((int)i, 0, help_lines[i], COLS);
    refresh();
}

static void draw(struct screen *s)
{
    char *text = NULL, *line, *rest = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    int row = 0, heading;

    if (out == NULL) return;
    s->view.width = COLS;
    heading = topview_write(&s->view, topfeed_now(&s->feed), topfeed_before(&s->feed), out);
    fclose(out);
    erase();
    for (line = text; line != NULL && *line != '\0' && row < LINES - 1; line = rest, row++) {
        rest = strchr(line, '\n');
        if (rest != NULL) *rest++ = '\0';
        if (row == 0) attron(A_BOLD);
        if (row == heading) attron(A_REVERSE);
        mvaddnstr(row, 0, line, COLS);
        if (row == heading) mvchgat(row, 0, -1, A_REVERSE, 0, NULL);
        attrset(A_NORMAL);
    }
    free(text);
    mvprintw(LINES - 1, 0, "%.*s", COLS - 1, "q leave  : prompt  p pause  s sort  ? help");
    mvprintw(LINES - 1, 45 < COLS ? 45 : 0, "%.*s", COLS > 46 ? COLS - 46 : 0, "");
    if (COLS > 80)
        mvprintw(LINES - 1, 50, "by %s, every %.0f s%s", topview_column(s->view.sort), s->delay_s,
                 s->paused ? ", paused" : "");
    refresh();
}

static void take_key(struct screen *s, int key)
{
    unsigned columns = topview_columns();

    if (s->help) {
        s->help = false;
        return;
    }
    switch (key) {
    case 'q':
    case 'Q':
    case 3: s->leave = true; break;
    case ':': s->prompt = true; break;
    case 'p': s->paused = !s->paused; break;
    case 's': s->view.sort = (s->view.sort + 1) % columns; break;
    case 'S': s->view.sort = (s->view.sort + columns - 1) % columns; break;
    case 'r': s->view.reverse = !s->view.reverse; break;
    case '+': s->delay_s += 1; break;
    case '-': s->delay_s = s->delay_s > 1 ? s->delay_s - 1 : 1; break;
    case 'h':
    case '?': s->help = true; break;
    default: break;
    }
}

static enum status loop(struct screen *s, struct error *e)
{
    double next_s = 0;

    while (!s->leave && !s->prompt) {
        double left_s = next_s - clock_now_s();
        int key;

        if (!s->paused && left_s <= 0) {
            enum status status = topfeed_take(&s->feed, &s->view, e);

            if (status != STATUS_OK) return status;
            left_s = s->delay_s;
            next_s = clock_now_s() + s->delay_s;
        }
        if (s->help)
            draw_help();
        else
            draw(s);
        timeout(s->paused ? -1 : (int)(left_s * 1000) + 1);
        key = getch();
        if (key == ' ') next_s = 0;
        if (key != ERR && key != KEY_RESIZE) take_key(s, key);
    }
    return STATUS_OK;
}

enum status top_screen(struct context *t, double delay_s, enum top_end *end, struct error *e)
{
    static struct screen s;
    SCREEN *terminal;
    enum status status;

    s = (struct screen){.context = t, .delay_s = delay_s};
    *end = TOP_NOT_SHOWN;
    status = context_client(t, &s.feed.client, e);
    if (status != STATUS_OK) return status;
    do {
        terminal = newterm(NULL, stdout, stdin);
        if (terminal == NULL) return STATUS_OK; /* a terminal that ncurses does not know */
        *end = TOP_LEFT;
        s.prompt = false;
        cbreak();
        noecho();
        keypad(stdscr, TRUE);
        curs_set(0);
        status = loop(&s, e);
        endwin();
        delscreen(terminal);
        if (status == STATUS_OK && s.prompt && prompt_run(t) == PROMPT_QUIT) *end = TOP_QUIT;
    } while (status == STATUS_OK && !s.leave && *end != TOP_QUIT);
    topfeed_free(&s.feed);
    return status;
}

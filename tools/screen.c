/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/err.h>
#include <base/fd.h>

#include "signals.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME  "\033[H"
/* To the end of the line, and of the screen. */
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"

#define KEYS_BYTES_MAX 64
#define USEC_PER_MSEC  1000
#define WAIT_MSEC_MAX  3600000

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };

/* ISIG stays, so that Ctrl-C and Ctrl-Z are signals. */
static int keys_begin(const struct screen *screen, struct tn_error *err)
{
	struct termios modes = screen->terminal.saved;

	if (!screen->terminal.present)
		return 0;
	modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	modes.c_cc[VMIN] = 0;
	modes.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &modes) < 0)
		return err_errno(err, "set the terminal's modes: %s", strerror(errno));
	return 0;
}

static int enter(struct screen *screen, struct tn_error *err)
{
	int r = keys_begin(screen, err);

	if (r < 0)
		return r;
	screen->drawn = true;
	(void)fputs(ENTER, stdout);
	return fflush(stdout) == 0 ? 0 : err_errno(err, "write to the terminal");
}

static void leave(struct screen *screen)
{
	if (!screen->drawn)
		return;
	screen->drawn = false;
	(void)fputs(LEAVE, stdout);
	(void)fflush(stdout);
	terminal_restore(&screen->terminal);
}

int screen_open(struct screen *screen, struct tn_error *err)
{
	sigset_t set;

	*screen = (struct screen){ .signal_fd = FD_NONE };
	terminal_look(&screen->terminal);
	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, &screen->before) < 0)
		return err_errno(err, "block signals: %s", strerror(errno));
	screen->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signal_fd < 0)
		return err_errno(err, "open a signalfd: %s", strerror(errno));
	return enter(screen, err);
}

void screen_close(struct screen *screen)
{
	leave(screen);
	if (screen->signal_fd >= 0)
		(void)sigprocmask(SIG_SETMASK, &screen->before, NULL);
	fd_closep(&screen->signal_fd);
}

/* Stopped like anything else, and here again when it goes on. */
static int stop(struct screen *screen, struct tn_error *err)
{
	sigset_t set;

	leave(screen);
	signals_take_default(SIGTSTP);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTSTP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return enter(screen, err);
}

static int signals_read(struct screen *screen, struct tn_error *err)
{
	struct signalfd_siginfo info;
	int event = SCREEN_NOTHING;

	while (read(screen->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const int signal = (int)info.ssi_signo;

		event = SCREEN_REDRAW;
		if (signal == SIGWINCH)
			continue;
		if (signal != SIGTSTP) {
			leave(screen);
			signals_take_default(signal);
			/* It is ignored: whoever started us wanted it so. */
			return SCREEN_QUIT;
		}
		if (stop(screen, err) < 0)
			return -EIO;
	}
	return event;
}

static int keys_read(void)
{
	char keys[KEYS_BYTES_MAX];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? SCREEN_NOTHING : SCREEN_QUIT;
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q')
			return SCREEN_QUIT;
	return SCREEN_NOTHING;
}

int screen_wait(struct screen *screen, int fd, short events, int64_t usec, struct tn_error *err)
{
	enum {
		SIGNALS,
		OTHER,
		KEYS,
		POLLED_N
	};
	struct pollfd polled[POLLED_N] = {
		[SIGNALS] = { .fd = screen->signal_fd, .events = POLLIN },
		[OTHER] = { .fd = fd, .events = events },
		[KEYS] = { .fd = screen->terminal.present ? STDIN_FILENO : FD_NONE,
		           .events = POLLIN },
	};
	const int64_t end = clock_usec(CLOCK_BOOTTIME) + usec;
	int event = SCREEN_NOTHING;

	while (event == SCREEN_NOTHING && polled[OTHER].revents == 0) {
		int64_t left = (end - clock_usec(CLOCK_BOOTTIME) + USEC_PER_MSEC - 1) /
		               USEC_PER_MSEC;

		if (left <= 0)
			break;
		if (left > WAIT_MSEC_MAX)
			left = WAIT_MSEC_MAX;
		if (poll(polled, POLLED_N, (int)left) < 0 && errno != EINTR)
			return err_errno(err, "wait: %s", strerror(errno));
		if ((polled[KEYS].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
			return SCREEN_QUIT;
		if (polled[SIGNALS].revents != 0)
			event = signals_read(screen, err);
		else if (polled[KEYS].revents != 0)
			event = keys_read();
	}
	return event;
}

/* Bytes of @line, which has @n, that are at most so many characters. */
static size_t fitting(const char *line, size_t n, size_t characters)
{
	size_t i = 0;

	for (; i < n; i++) {
		if (((unsigned char)line[i] & 0xc0) != 0x80 && characters-- == 0)
			break;
	}
	return i;
}

int screen_draw(struct screen *screen, const char *text, struct tn_error *err)
{
	uint16_t rows, cols;

	if (!screen->drawn)
		return 0;
	terminal_size(&rows, &cols);
	(void)fputs(HOME, stdout);
	for (unsigned int row = 0; row < rows && *text != '\0'; row++) {
		const size_t n = strcspn(text, "\n");

		if (row > 0)
			(void)putchar('\n');
		(void)fwrite(text, 1, fitting(text, n, cols), stdout);
		(void)fputs(CLEAR_LINE, stdout);
		text += n;
		text += *text == '\n';
	}
	(void)fputs(CLEAR_REST, stdout);
	return fflush(stdout) == 0 ? 0 : err_errno(err, "write to the terminal");
}

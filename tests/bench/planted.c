/*
 * For peers whose paths are fixed: what they open below /sys/class/powercap, and /proc/modules, is
 * below the folder $PLANTED instead. Built as a library and preloaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 4096
#define POWERCAP "/sys/class/powercap"

static const char *planted(const char *path, char *buffer)
{
	const char *folder = getenv("PLANTED");

	if (!folder || !path)
		return path;
	if (strcmp(path, "/proc/modules") && strncmp(path, POWERCAP, strlen(POWERCAP)))
		return path;
	snprintf(buffer, LONGEST, "%s%s", folder, path);
	return buffer;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int open64(const char *path, int flags, ...)
{
	char buffer[LONGEST];
	va_list rest;
	int mode;

	va_start(rest, flags);
	mode = va_arg(rest, int);
	va_end(rest);
	return NEXT(int (*)(const char *, int, ...), "open64")(planted(path, buffer), flags, mode);
}

void *opendir(const char *path)
{
	char buffer[LONGEST];

	return NEXT(void *(*)(const char *), "opendir")(planted(path, buffer));
}

int statx(int folder, const char *path, int flags, unsigned mask, void *found)
{
	char buffer[LONGEST];

	return NEXT(int (*)(int, const char *, int, unsigned, void *), "statx")(
		folder, planted(path, buffer), flags, mask, found);
}

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
{
	if (err == NULL)
		return code;
	va_list args;
	va_start(args, format);
	memset(err, 0, sizeof *err);
	err->code = code;
	vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	return code;
}

enum err_code err_wrap(struct err *err, const char *format, ...)
{
	char inner[sizeof err->message];
	if (err == NULL)
		return ERR_OK;
	memcpy(inner, err->message, sizeof inner);
	va_list args;
	va_start(args, format);
	int n = vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof err->message)
		snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", inner);
	return err->code;
}

bool err_retryable(enum err_code code)
{
	static const bool retryable[] = {
#define X(name, retry, text) retry,
	    ERR_CODES(X)
#undef X
	};
	return retryable[code];
}

const char *err_text(enum err_code code)
{
	static const char *const texts[] = {
#define X(name, retry, text) text,
	    ERR_CODES(X)
#undef X
	};
	return texts[code];
}

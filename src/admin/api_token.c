#include "admin/api_token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool digest(const char *text, size_t size, uint8_t ret_digest[32])
{
	return EVP_Digest(text, size, ret_digest, NULL, EVP_sha256(), NULL) == 1;
}

static bool is_token(const char *text, size_t size)
{
	if (size < API_TOKEN_MIN || size > API_TOKEN_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

bool api_token_make(const char *text, size_t size, struct api_token *ret_token)
{
	struct api_token token = {.is_set = true};
	if (!is_token(text, size) || !digest(text, size, token.digest))
		return false;
	*ret_token = token;
	return true;
}

bool api_token_matches(const struct api_token *token, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	uint8_t given[32];
	if (!token->is_set || authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
		return false;
	const char *text = authorization + sizeof scheme - 1;
	text += strspn(text, " ");
	size_t size = strnlen(text, API_TOKEN_MAX + 1);
	/* Of the hashes: how long the token is doesn't show either. */
	return is_token(text, size) && digest(text, size, given) && CRYPTO_memcmp(given, token->digest, sizeof given) == 0;
}

static enum err_code check_file(int fd, const char *path, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "%s: this is no file; put the token for HTTP into one", path);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return err_set(err, ERR_CONFIG, "%s: others may read the token; run: chmod 600 '%s'", path, path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(err, ERR_CONFIG, "%s: the token is another user's file; make it the daemon's user's", path);
	return ERR_OK;
}

enum err_code api_token_load(const char *path, struct api_token *ret_token, struct err *err)
{
	char text[API_TOKEN_MAX + 8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, ERR_CONFIG,
		               "%s: can't read the token for HTTP: %s; make the file, owned by the daemon's user", path,
		               strerror(errno));
	enum err_code code = check_file(fd, path, err);
	ssize_t size = code == ERR_OK ? read(fd, text, sizeof text) : 0;
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	if (code == ERR_OK && (size < 0 || !api_token_make(text, (size_t)size, ret_token)))
		code = err_set(err, ERR_CONFIG,
		               "%s: no token for HTTP; put %d to %d characters on one line, as from: openssl rand -hex 32",
		               path, API_TOKEN_MIN, API_TOKEN_MAX);
	explicit_bzero(text, sizeof text);
	close(fd);
	return code;
}

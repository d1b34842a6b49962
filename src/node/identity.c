#include "node/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/settings.h"

enum {
	KEY_MODE = 0600,
	SHARED_KEY_MODE = 0640,
	CERTIFICATE_MODE = 0644,
	FOLDER_MODE = 0755,
	FILES = IDENTITY_BUNDLE + 1
};

static const struct {
	const char *name;
	mode_t mode;
} files[FILES] = {
    [IDENTITY_AUTHORITY] = {"authority.pem", CERTIFICATE_MODE}, [IDENTITY_AUTHORITY_KEY] = {"authority.key", KEY_MODE},
    [IDENTITY_NODE] = {"node.pem", CERTIFICATE_MODE},           [IDENTITY_NODE_KEY] = {"node.key", SHARED_KEY_MODE},
    [IDENTITY_BUNDLE] = {"bundle.pem", CERTIFICATE_MODE},
};

/* authority.key is drafted first and put last: it makes the rest an identity, and its draft says that the rest is not
 * one yet and may go. */
static const enum identity_file drafting_order[FILES] = {IDENTITY_AUTHORITY_KEY, IDENTITY_AUTHORITY, IDENTITY_NODE_KEY,
                                                         IDENTITY_NODE, IDENTITY_BUNDLE};

char *identity_path(const char *dir, enum identity_file file)
{
	return mem_printf("%s/%s", dir, files[file].name);
}

char *identity_peer_path(const char *dir, uint32_t peer)
{
	return mem_printf("%s/peer-%u.pem", dir, (unsigned)peer);
}

static bool is_there(const char *dir, enum identity_file file, bool draft)
{
	char *path = mem_printf("%s/%s%s", dir, files[file].name, draft ? ".new" : "");
	struct stat st;
	bool there = lstat(path, &st) == 0;
	free(path);
	return there;
}

bool identity_exists(const char *dir)
{
	return is_there(dir, IDENTITY_AUTHORITY_KEY, false);
}

/* The folder */

/* Opens and locks it; closing the descriptor unlocks it. */
static enum err_code lock(const char *dir, int *ret_fd, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX) != 0)
		if (errno != EINTR) {
			close(fd);
			fd = -1;
		}
	if (fd < 0)
		return err_set(err, ERR_IO, "%s: can't open the folder: %s; run syncline init or check its path", dir,
		               strerror(errno));
	*ret_fd = fd;
	return ERR_OK;
}

/* Also makes the renames of a good end last over a power cut. */
static enum err_code unlock(const char *dir, int fd, enum err_code code, struct err *err)
{
	if (code == ERR_OK && fsync(fd) != 0)
		code = err_set(err, ERR_IO, "%s: can't write the folder: %s; check the disk", dir, strerror(errno));
	close(fd);
	return code;
}

static enum err_code read_path(const char *path, struct buf *ret, struct err *err)
{
	enum err_code code = files_read_tail(path, TLS_PEM_BYTES_MAX + 1, ret, err);
	if (code == ERR_OK && ret->size > TLS_PEM_BYTES_MAX)
		code = err_set(err, ERR_MALFORMED, "%s: it is too large for a certificate; bring it back from a copy", path);
	return code;
}

static enum err_code read_own(const char *dir, enum identity_file file, struct buf *ret, struct err *err)
{
	char *path = identity_path(dir, file);
	enum err_code code = read_path(path, ret, err);
	free(path);
	return code;
}

/* The owner for further files: NULL unless root works here for somebody. */
static const struct files_owner *owner_of(const char *dir, struct files_owner *keep)
{
	char *path = identity_path(dir, IDENTITY_AUTHORITY);
	struct stat st;
	bool known = geteuid() == 0 && lstat(path, &st) == 0;
	if (known)
		*keep = (struct files_owner){st.st_uid, st.st_gid};
	free(path);
	return known ? keep : NULL;
}

static enum err_code replace(const char *dir, const char *path, const struct buf *text, struct err *err)
{
	struct files_owner keep;
	enum err_code code = files_draft(path, text, CERTIFICATE_MODE, owner_of(dir, &keep), err);
	if (code == ERR_OK && (code = files_put(path, err)) != ERR_OK)
		files_drop(path);
	return code;
}

/* Making */

static enum err_code make_texts(uint32_t node_id, const char *const *addresses, size_t address_count,
                                struct buf texts[FILES], struct err *err)
{
	struct tls_authority *authority = NULL;
	enum err_code code = tls_authority_new(node_id, &authority, err);
	if (code == ERR_OK)
		code = tls_authority_print(authority, &texts[IDENTITY_AUTHORITY], &texts[IDENTITY_AUTHORITY_KEY], err);
	if (code == ERR_OK)
		code = tls_key_new(&texts[IDENTITY_NODE_KEY], err);
	if (code == ERR_OK)
		code = tls_authority_issue(authority, &texts[IDENTITY_NODE_KEY], addresses, address_count,
		                           &texts[IDENTITY_NODE], err);
	if (code == ERR_OK)
		buf_append(&texts[IDENTITY_BUNDLE], texts[IDENTITY_AUTHORITY].data, texts[IDENTITY_AUTHORITY].size);
	tls_authority_free(authority);
	return code;
}

static enum err_code make_folder(const char *dir, const struct files_owner *owner, struct err *err)
{
	if (mkdir(dir, FOLDER_MODE) != 0)
		return errno == EEXIST ? ERR_OK
		                       : err_set(err, ERR_IO, "%s: can't make the folder: %s; check the folder above it", dir,
		                                 strerror(errno));
	if (owner != NULL && chown(dir, owner->uid, owner->gid) != 0) {
		enum err_code code =
		    err_set(err, ERR_IO, "%s: can't give it to its owner: %s; run as root", dir, strerror(errno));
		rmdir(dir);
		return code;
	}
	return ERR_OK;
}

static enum err_code check_free(const char *dir, struct err *err)
{
	bool unfinished = is_there(dir, IDENTITY_AUTHORITY_KEY, true);
	for (int i = 0; i < FILES; i++)
		if (is_there(dir, drafting_order[i], false) && (!unfinished || drafting_order[i] == IDENTITY_AUTHORITY_KEY))
			return err_set(err, ERR_USAGE,
			               "%s/%s is there already and won't be overwritten, because peers know the node by it; "
			               "move the folder away if the node is to be another one",
			               dir, files[drafting_order[i]].name);
	return ERR_OK;
}

static enum err_code put_all(const char *dir, const struct buf texts[FILES], const struct files_owner *owner,
                             struct err *err)
{
	char *paths[FILES];
	enum err_code code = ERR_OK;
	int put = FILES;
	for (int i = 0; i < FILES; i++)
		paths[i] = identity_path(dir, drafting_order[i]);
	for (int i = 0; i < FILES && code == ERR_OK; i++)
		code = files_draft(paths[i], &texts[drafting_order[i]], files[drafting_order[i]].mode, owner, err);
	while (put > 0 && code == ERR_OK)
		if ((code = files_put(paths[put - 1], err)) == ERR_OK)
			put--;
	for (int i = FILES - 1; i >= 0 && code != ERR_OK; i--) { /* the mark last */
		if (i >= put)
			unlink(paths[i]);
		files_drop(paths[i]);
	}
	for (int i = 0; i < FILES; i++)
		free(paths[i]);
	return code;
}

enum err_code identity_make(const char *dir, uint32_t node_id, const char *const *addresses, size_t address_count,
                            const struct files_owner *owner, struct err *err)
{
	struct buf texts[FILES] = {0};
	int fd = -1;
	enum err_code code = ERR_OK;
	if (node_id < 1 || node_id > NODE_ID_MAX)
		return err_set(err, ERR_USAGE, "%u is no node id; give a whole number from 1 to %d", (unsigned)node_id,
		               NODE_ID_MAX);
	code = make_texts(node_id, addresses, address_count, texts, err);
	if (code == ERR_OK)
		code = make_folder(dir, owner, err);
	if (code == ERR_OK)
		code = lock(dir, &fd, err);
	if (code == ERR_OK)
		code = check_free(dir, err);
	if (code == ERR_OK)
		code = put_all(dir, texts, owner, err);
	if (fd >= 0)
		code = unlock(dir, fd, code, err);
	for (int i = 0; i < FILES; i++)
		tls_wipe(&texts[i]);
	return code;
}

static enum err_code load_authority(const char *dir, struct tls_authority **ret, struct err *err)
{
	struct buf certificate = {0}, key = {0};
	enum err_code code = read_own(dir, IDENTITY_AUTHORITY, &certificate, err);
	if (code == ERR_OK)
		code = read_own(dir, IDENTITY_AUTHORITY_KEY, &key, err);
	if (code == ERR_OK && (code = tls_authority_load(&certificate, &key, ret, err)) != ERR_OK)
		err_wrap(err, "%s", dir);
	buf_free(&certificate);
	tls_wipe(&key);
	return code;
}

static enum err_code reissue(const char *dir, const char *const *addresses, size_t address_count, struct err *err)
{
	struct tls_authority *authority = NULL;
	struct buf key = {0}, chain = {0};
	char *path = identity_path(dir, IDENTITY_NODE);
	enum err_code code = load_authority(dir, &authority, err);
	if (code == ERR_OK)
		code = read_own(dir, IDENTITY_NODE_KEY, &key, err);
	if (code == ERR_OK)
		code = tls_authority_issue(authority, &key, addresses, address_count, &chain, err);
	if (code == ERR_OK)
		code = replace(dir, path, &chain, err);
	tls_authority_free(authority);
	tls_wipe(&key);
	buf_free(&chain);
	free(path);
	return code;
}

enum err_code identity_reissue(const char *dir, const char *const *addresses, size_t address_count, struct err *err)
{
	int fd = -1;
	enum err_code code = lock(dir, &fd, err);
	return code == ERR_OK ? unlock(dir, fd, reissue(dir, addresses, address_count, err), err) : code;
}

/* Authorities */

static enum err_code check_path(const char *path, struct tls_authority_id *ret_id, struct buf *ret_pem, struct err *err)
{
	struct buf text = {0};
	enum err_code code = read_path(path, &text, err);
	if (code == ERR_OK && (code = tls_authority_check(text.data, text.size, ret_id, ret_pem, err)) != ERR_OK)
		err_wrap(err, "%s", path);
	buf_free(&text);
	return code;
}

enum err_code identity_authority(const char *dir, struct tls_authority_id *ret_id, struct buf *ret_pem, struct err *err)
{
	char *path = identity_path(dir, IDENTITY_AUTHORITY);
	enum err_code code = check_path(path, ret_id, ret_pem, err);
	free(path);
	return code;
}

enum err_code identity_peer(const char *dir, uint32_t peer, struct tls_authority_id *ret_id, struct buf *ret_pem,
                            struct err *err)
{
	char *path = identity_peer_path(dir, peer);
	enum err_code code = access(path, F_OK) == 0
	                         ? check_path(path, ret_id, ret_pem, err)
	                         : err_set(err, ERR_USAGE, "%s: %s; node %u is not a peer yet, or not any more", path,
	                                   strerror(errno), (unsigned)peer);
	free(path);
	return code;
}

/* Under the lock. */
static enum err_code make_bundle(const char *dir, struct err *err)
{
	struct buf bundle = {0}, one = {0};
	char *path = identity_path(dir, IDENTITY_BUNDLE);
	enum err_code code = identity_authority(dir, NULL, &bundle, err);
	for (uint32_t peer = 1; peer <= NODE_ID_MAX && code == ERR_OK; peer++) {
		char *peer_path = identity_peer_path(dir, peer);
		if (access(peer_path, F_OK) == 0 && (code = check_path(peer_path, NULL, &one, err)) == ERR_OK)
			buf_append(&bundle, one.data, one.size);
		free(peer_path);
	}
	if (code == ERR_OK)
		code = replace(dir, path, &bundle, err);
	buf_free(&bundle);
	buf_free(&one);
	free(path);
	return code;
}

enum err_code identity_bundle(const char *dir, struct err *err)
{
	int fd = -1;
	enum err_code code = lock(dir, &fd, err);
	return code == ERR_OK ? unlock(dir, fd, make_bundle(dir, err), err) : code;
}

/* Refuses what is certainly a mistake. */
static enum err_code check_pin(const char *dir, uint32_t peer, const char *path, const struct tls_authority_id *id,
                               struct err *err)
{
	struct tls_authority_id other;
	enum err_code code = identity_authority(dir, &other, NULL, err);
	if (code != ERR_OK)
		return code;
	if (peer < 1 || peer > NODE_ID_MAX || id->node_id != peer)
		return err_set(err, ERR_USAGE, "this authority is node %u's and not node %u's; check the node ids",
		               (unsigned)id->node_id, (unsigned)peer);
	if (other.node_id == peer)
		return err_set(err, ERR_USAGE, "node %u is this node itself; give each node an id of its own", (unsigned)peer);
	if (access(path, F_OK) != 0)
		return ERR_OK;
	code = check_path(path, &other, NULL, err);
	if (code == ERR_OK && strcmp(other.fingerprint, id->fingerprint) != 0)
		code = err_set(err, ERR_CONFLICT,
		               "%s is another authority: node %u was made anew, or somebody else claims to be it; remove the "
		               "node first if it was made anew",
		               path, (unsigned)peer);
	return code;
}

enum err_code identity_pin(const char *dir, uint32_t peer, const void *pem, size_t size, struct err *err)
{
	struct tls_authority_id id;
	struct buf text = {0};
	char *path = identity_peer_path(dir, peer);
	int fd = -1;
	enum err_code code = tls_authority_check(pem, size, &id, &text, err);
	if (code == ERR_OK)
		code = lock(dir, &fd, err);
	if (code == ERR_OK)
		code = check_pin(dir, peer, path, &id, err);
	if (code == ERR_OK)
		code = replace(dir, path, &text, err);
	if (code == ERR_OK)
		code = make_bundle(dir, err);
	if (fd >= 0)
		code = unlock(dir, fd, code, err);
	buf_free(&text);
	free(path);
	return code;
}

enum err_code identity_unpin(const char *dir, uint32_t peer, struct err *err)
{
	char *path = identity_peer_path(dir, peer);
	int fd = -1;
	enum err_code code = lock(dir, &fd, err);
	if (code == ERR_OK && unlink(path) != 0 && errno != ENOENT)
		code = err_set(err, ERR_IO, "%s: can't remove it: %s; remove it by hand", path, strerror(errno));
	if (code == ERR_OK)
		code = make_bundle(dir, err);
	if (fd >= 0)
		code = unlock(dir, fd, code, err);
	free(path);
	return code;
}

void identity_append_require(struct buf *sql, const struct tls_authority_id *peer)
{
	/* The name is safe within quotes: tls_authority_check takes only "syncline-N-HASH". */
	buf_printf(sql, " REQUIRE ISSUER '/CN=%s' AND SUBJECT '/CN=syncline-%u'", peer->name, (unsigned)peer->node_id);
}

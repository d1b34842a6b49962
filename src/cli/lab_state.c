/* What a lab is: its folder, its nodes and its marker file. */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/lab.h"
#include "node/files.h"
#include "node/identity.h"

/* DIR need not exist, the folder above it must. */
static enum err_code absolute(const char *dir, char **ret, struct err *err)
{
	for (const char *c = dir; *c != 0; c++)
		if (iscntrl((unsigned char)*c))
			return err_set(err, ERR_USAGE, "--dir has a control character; give another folder");
	char *real = realpath(dir, NULL);
	if (real != NULL) {
		*ret = real;
		return ERR_OK;
	}
	char *above_copy = mem_strdup(dir), *name_copy = mem_strdup(dir), *name = basename(name_copy);
	enum err_code code = ERR_OK;
	if (errno == ENOENT && strcmp(name, "..") != 0 && (real = realpath(dirname(above_copy), NULL)) != NULL)
		*ret = mem_printf("%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
	else
		code = err_set(err, ERR_CONFIG, "--dir=%s: %s; make the folder above it first", dir, strerror(errno));
	free(real);
	free(name_copy);
	free(above_copy);
	return code;
}

static void init_node(struct lab_node *node, const char *dir, uint32_t id)
{
	node->id = id;
	node->dir = mem_printf("%s/node%u", dir, (unsigned)id);
	node->datadir = mem_printf("%s/data", node->dir);
	node->socket = mem_printf("%s/mariadb.sock", node->dir);
	node->settings = mem_printf("%s/syncline.cnf", node->dir);
	node->log = mem_printf("%s/syncline.log", node->dir);
	node->state_dir = mem_printf("%s/state", node->dir);
	node->tls_dir = mem_printf("%s/tls", node->dir);
	node->tls_ca = identity_path(node->tls_dir, IDENTITY_BUNDLE);
	node->tls_cert = identity_path(node->tls_dir, IDENTITY_NODE);
	node->tls_key = identity_path(node->tls_dir, IDENTITY_NODE_KEY);
	snprintf(node->address, sizeof node->address, "192.168.10.%u", (unsigned)id);
}

enum err_code lab_init(const char *dir, unsigned node_count, struct lab *ret_lab, struct err *err)
{
	static const char longest[] = "/node1/state/syncline.sock";
	struct sockaddr_un address;
	struct lab lab = {.node_count = node_count};
	enum err_code code = absolute(dir, &lab.dir, err);
	if (code != ERR_OK)
		return code;
	if (strlen(lab.dir) + sizeof longest > sizeof address.sun_path) {
		code = err_set(err, ERR_CONFIG,
		               "%s: too long by %zu bytes for the sockets below it; give a shorter --dir, under /tmp say",
		               lab.dir, strlen(lab.dir) + sizeof longest - sizeof address.sun_path);
		free(lab.dir);
		return code;
	}
	for (unsigned i = 0; i < node_count; i++)
		init_node(&lab.nodes[i], lab.dir, i + 1);
	*ret_lab = lab;
	return ERR_OK;
}

void lab_free(struct lab *lab)
{
	free(lab->dir);
	for (size_t i = 0; i < lab->database_count; i++)
		free(lab->databases[i]);
	for (size_t i = 0; i < lab->option_count; i++)
		free(lab->options[i]);
	for (size_t i = 0; i < lab->node_count; i++) {
		struct lab_node *node = &lab->nodes[i];
		free(node->dir);
		free(node->datadir);
		free(node->socket);
		free(node->settings);
		free(node->log);
		free(node->state_dir);
		free(node->tls_dir);
		free(node->tls_ca);
		free(node->tls_cert);
		free(node->tls_key);
	}
	*lab = (struct lab){0};
}

enum err_code lab_find_node(const struct lab *lab, const char *number, const struct lab_node **ret_node,
                            struct err *err)
{
	if (number[0] >= '1' && number[0] <= '9' && number[1] == 0 && (unsigned)(number[0] - '0') <= lab->node_count) {
		*ret_node = &lab->nodes[number[0] - '1'];
		return ERR_OK;
	}
	return err_set(err, ERR_USAGE, "'%s' is no node of this lab; give a number from 1 to %u", number, lab->node_count);
}

/* Shapes */

static const char *const shape_names[] = {
    [LAB_MESH] = "mesh",
    [LAB_RING] = "ring",
    [LAB_STAR] = "star",
    [LAB_CHAIN] = "chain",
};

const char *lab_shape_name(enum lab_shape shape)
{
	return shape_names[shape];
}

bool lab_shape_parse(const char *name, enum lab_shape *ret_shape)
{
	for (size_t i = 0; i < sizeof shape_names / sizeof *shape_names; i++) {
		if (strcmp(name, shape_names[i]) != 0)
			continue;
		*ret_shape = (enum lab_shape)i;
		return true;
	}
	return false;
}

bool lab_is_linked(const struct lab *lab, const struct lab_node *a, const struct lab_node *b)
{
	uint32_t low = a->id < b->id ? a->id : b->id, high = a->id < b->id ? b->id : a->id;
	switch (lab->shape) {
	case LAB_MESH:
		return low != high;
	case LAB_RING:
		return high - low == 1 || (low == 1 && high == lab->node_count);
	case LAB_STAR:
		return low == 1 && high != 1;
	case LAB_CHAIN:
		return high - low == 1;
	}
	return false;
}

/* The marker file */

static json_t *texts_to_json(char *const *texts, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

enum err_code lab_save(const struct lab *lab, struct err *err)
{
	json_t *root = json_pack("{s:i, s:i, s:s, s:b, s:o, s:o}", "syncline_lab", 1, "nodes", (int)lab->node_count,
	                         "shape", lab_shape_name(lab->shape), "network", (int)lab->network, "databases",
	                         texts_to_json(lab->databases, lab->database_count), "server_options",
	                         texts_to_json(lab->options, lab->option_count));
	char *path = mem_printf("%s/syncline-lab.json", lab->dir), *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	struct buf bytes = {0};
	enum err_code code;
	if (text == NULL) {
		code = err_set(err, ERR_USAGE, "a database's name or an option is not UTF-8; write it in UTF-8");
	} else {
		buf_printf(&bytes, "%s\n", text);
		code = files_write(path, &bytes, err);
	}
	buf_free(&bytes);
	free(text);
	free(path);
	json_decref(root);
	return code;
}

static size_t texts_from_json(const json_t *array, char *texts[LAB_TEXTS_MAX])
{
	size_t i, count = 0;
	json_t *text;
	json_array_foreach(array, i, text) if (count < LAB_TEXTS_MAX && json_is_string(text)) texts[count++] =
	    mem_strdup(json_string_value(text));
	return count;
}

enum err_code lab_load(const char *dir, struct lab *ret_lab, struct err *err)
{
	char *path = mem_printf("%s/syncline-lab.json", dir);
	struct lab lab = {0};
	json_error_t where;
	enum err_code code = ERR_OK;
	json_t *root = json_load_file(path, 0, &where);
	json_int_t nodes = json_integer_value(json_object_get(root, "nodes"));
	const char *shape_name = json_string_value(json_object_get(root, "shape"));
	enum lab_shape shape = LAB_MESH; /* of a lab that was made before there were others */
	if (root == NULL && access(path, F_OK) != 0)
		code = err_set(err, ERR_CONFIG,
		               "%s: no lab is here (no syncline-lab.json); make one with: syncline lab up --dir=DIR", dir);
	else if (root == NULL)
		code = err_set(err, ERR_CONFIG, "%s:%d: %s; remove the lab by hand", path, where.line, where.text);
	else if (json_integer_value(json_object_get(root, "syncline_lab")) != 1 || nodes < LAB_NODES_MIN ||
	         nodes > LAB_NODES_MAX || (shape_name != NULL && !lab_shape_parse(shape_name, &shape)))
		code = err_set(err, ERR_CONFIG, "%s: another version's lab; take it down with that version", path);
	else
		code = lab_init(dir, (unsigned)nodes, &lab, err);
	if (code == ERR_OK) {
		lab.shape = shape;
		lab.network = json_is_true(json_object_get(root, "network"));
		lab.database_count = texts_from_json(json_object_get(root, "databases"), lab.databases);
		lab.option_count = texts_from_json(json_object_get(root, "server_options"), lab.options);
		*ret_lab = lab;
	}
	json_decref(root);
	free(path);
	return code;
}

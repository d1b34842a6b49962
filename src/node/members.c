#include "node/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/identity.h"

#define TABLE SYNCLINE_SCHEMA "." SYNCLINE_MEMBERS_TABLE

static const char *const states[] = {[MEMBER_COMING] = "coming",
                                     [MEMBER_ADMITTED] = "admitted",
                                     [MEMBER_JOINED] = "joined",
                                     [MEMBER_LEAVING] = "leaving",
                                     [MEMBER_LEFT] = "left"};

void members_free(struct members *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->members[i].address);
		free(m->members[i].authority);
	}
	free(m->members);
	*m = (struct members){0};
}

struct member *members_find(const struct members *m, uint32_t node)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->members[i].node == node)
			return &m->members[i];
	return NULL;
}

void members_add(struct members *m, const struct member *member)
{
	size_t at = m->count;
	if (members_find(m, member->node) != NULL)
		return;
	m->members = mem_resize(m->members, (m->count + 1) * sizeof *m->members);
	for (; at > 0 && m->members[at - 1].node > member->node; at--)
		m->members[at] = m->members[at - 1];
	m->members[at] = *member;
	m->members[at].address = mem_strdup(member->address);
	m->members[at].authority = mem_strdup(member->authority);
	m->count++;
}

static bool read_state(const char *text, enum member_state *ret)
{
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i], text) == 0) {
			*ret = (enum member_state)i;
			return true;
		}
	return false;
}

static void take(void *context, unsigned count, const char *const *c)
{
	struct member member = {0};
	for (unsigned i = 0; i < count; i++)
		if (c[i] == NULL)
			return;
	if (count < 7 || !read_state(c[3], &member.state) || vector_parse(c[5], &member.position.vector, NULL) != ERR_OK)
		return;
	member.node = (uint32_t)strtoul(c[0], NULL, 10);
	member.address = (char *)c[1];
	member.authority = (char *)c[2];
	member.counted = strcmp(c[4], "0") != 0;
	member.position.latest = (uint32_t)strtoul(c[6], NULL, 10);
	members_add(context, &member);
}

enum err_code members_list(struct connection *connection, struct members *ret, struct err *err)
{
	struct members all = {0};
	enum err_code code = connection_query(
	    connection, "SELECT node, address, authority, state, counted, vector, latest FROM " TABLE, take, &all, err);
	if (code == ERR_OK) {
		members_free(ret);
		*ret = all;
	} else {
		members_free(&all);
	}
	return code;
}

static void append_text(struct buf *sql, const char *text)
{
	buf_append_str(sql, ",");
	sql_append_text(sql, text);
}

static void append_put(struct buf *sql, const struct member *m)
{
	struct buf vector = {0};
	vector_format(&m->position.vector, &vector);
	buf_printf(sql, "INSERT INTO " TABLE " (node, address, authority, state, vector, latest) VALUES (%u",
	           (unsigned)m->node);
	append_text(sql, m->address);
	append_text(sql, m->authority);
	append_text(sql, states[m->state]);
	append_text(sql, buf_str(&vector));
	buf_printf(sql,
	           ",%u) ON DUPLICATE KEY UPDATE address=VALUES(address), authority=VALUES(authority), "
	           "state=VALUES(state), vector=VALUES(vector), latest=VALUES(latest);",
	           (unsigned)m->position.latest);
	buf_free(&vector);
}

enum err_code members_put(struct connection *connection, const struct member *m, struct err *err)
{
	struct buf sql = {0};
	buf_append_str(&sql, "SET SESSION sql_log_bin=0;");
	append_put(&sql, m);
	buf_append_str(&sql, "SET SESSION sql_log_bin=1");
	enum err_code code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	return code;
}

/* Its own row, if it came in, has been there since. */
enum err_code members_publish(struct connection *connection, const struct settings *s, struct err *err)
{
	struct buf sql = {0}, authority = {0};
	enum err_code code = identity_authority(s->identity_dir, NULL, &authority, err);
	buf_printf(&sql, "SET SESSION sql_log_bin=0;INSERT INTO " TABLE " (node, address, authority, state) VALUES (%u",
	           (unsigned)s->node_id);
	append_text(&sql, s->address ? s->address : "");
	append_text(&sql, buf_str(&authority));
	buf_append_str(&sql, ",'joined') ON DUPLICATE KEY UPDATE address=VALUES(address), authority=VALUES(authority);"
	                     "UPDATE " TABLE " SET counted=node IN (0");
	for (size_t i = 0; i < s->node_count; i++)
		buf_printf(&sql, ",%u", (unsigned)s->nodes[i]);
	buf_append_str(&sql, ");UPDATE " TABLE " SET state='left' WHERE state='leaving'; SET SESSION sql_log_bin=1");
	if (code == ERR_OK)
		code = connection_run_n(connection, buf_str(&sql), sql.size, err);
	buf_free(&sql);
	buf_free(&authority);
	return code;
}

uint32_t members_ahead(const struct members *m, uint32_t newcomer)
{
	uint32_t ahead = 0;
	for (size_t i = m->count; i > 0; i--) {
		const struct member *other = &m->members[i - 1];
		if (other->node == newcomer || other->state >= MEMBER_JOINED)
			continue;
		if (other->state == MEMBER_ADMITTED)
			return other->node;
		if (other->node < newcomer)
			ahead = other->node;
	}
	return ahead;
}

/* The nodes that a node knows: its table syncline.members, which its peers read, so that whoever one node lets in
 * all others hear of.
 *
 *   coming     it asked one of the nodes to come in. From now on each node that hears of it counts it among the
 *              nodes, so that nothing it doesn't have is forgotten, and doesn't read its log yet
 *   admitted   it copies the data of the node that lets it in
 *   joined     its log is to be read from `position` on, by each node with this same latest time (merge/stamp.h);
 *              empty for a node that was there first
 *   leaving    it was let go of, though a link here may still read its log: until the daemon has started anew
 *   left       it is no node any more, though a peer may still say so: whoever hears of it lets go of it, too
 *
 * `counted` says of a row that the daemon which runs there does count the node: one that has left, until every
 * other node has said so, and all have the same of what it wrote. Only then is nothing of it under way any more that
 * others' writes could meet, and another one may come in with its number, whose transactions go on above its. A row is
 * of the node with this authority: another one is a newcomer with its number.
 *
 * States only go forward; a node copies what a peer knows better. Never logged. Each function may be called from any
 * thread with a connection of its own.
 */
#ifndef SYNCLINE_NODE_MEMBERS_H
#define SYNCLINE_NODE_MEMBERS_H

#include "node/settings.h"
#include "sql/server.h"

enum member_state { MEMBER_COMING, MEMBER_ADMITTED, MEMBER_JOINED, MEMBER_LEAVING, MEMBER_LEFT };

struct member {
	uint32_t node;
	char *address, *authority; /* heap; the authority's certificate, PEM */
	enum member_state state;
	bool counted;
	struct server_position position;
};

struct members {
	size_t count;
	struct member *members; /* by their numbers */
};

void members_free(struct members *members);                                /* accepts a zeroed one */
struct member *members_find(const struct members *members, uint32_t node); /* NULL if there is none; borrowed */
/* Adds a copy of it, or does nothing if it is there. */
void members_add(struct members *members, const struct member *member);

/* Replaces *ret. A row that can't be read is passed over. */
enum err_code members_list(struct connection *connection, struct members *ret, struct err *err) ERR_MUST_CHECK;
/* Makes the row, or changes all of it but `counted`. */
enum err_code members_put(struct connection *connection, const struct member *member, struct err *err) ERR_MUST_CHECK;
/* This node's own row, and which nodes these settings count: before the daemon's links run. */
enum err_code members_publish(struct connection *connection, const struct settings *settings, struct err *err)
    ERR_MUST_CHECK;

/* Who has to be in first, before this newcomer may copy: one comes in after the other, or nobody could tell whom
 * each has to hear of. The one that copies already, or else that with the lowest number; 0 if it is this one's turn. */
uint32_t members_ahead(const struct members *members, uint32_t newcomer);

#endif

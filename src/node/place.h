/* Where things are on a machine whose MariaDB is the distribution's own, with Debian's layout. */
#ifndef SYNCLINE_NODE_PLACE_H
#define SYNCLINE_NODE_PLACE_H

/* Paths below `root`, which is "" but for a system that is in a folder (a container's, a test's). Owned by the struct. */
struct place {
	char *dropin;       /* the server's options: etc/mysql/mariadb.conf.d/60-syncline.cnf */
	char *identity_dir; /* keys and certificates, the server's user may read them: etc/mysql/syncline */
	char *settings;     /* etc/syncline/syncline.cnf */
	char *state_dir;    /* var/lib/syncline */
	char *joining;      /* a file in state_dir that is there from a join's first settings until it is live */
	char *log;          /* what programs print that are run meanwhile: in state_dir */
};

void place_init(struct place *place, const char *root);
void place_done(struct place *place); /* accepts a zeroed one */

#endif

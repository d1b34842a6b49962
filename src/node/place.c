#include "node/place.h"

#include <stdlib.h>

#include "base/mem.h"

void place_init(struct place *p, const char *root)
{
	p->dropin = mem_printf("%s/etc/mysql/mariadb.conf.d/60-syncline.cnf", root);
	p->identity_dir = mem_printf("%s/etc/mysql/syncline", root);
	p->settings = mem_printf("%s/etc/syncline/syncline.cnf", root);
	p->state_dir = mem_printf("%s/var/lib/syncline", root);
	p->joining = mem_printf("%s/var/lib/syncline/joining", root);
	p->log = mem_printf("%s/var/lib/syncline/setup.log", root);
}

void place_done(struct place *p)
{
	free(p->dropin);
	free(p->identity_dir);
	free(p->settings);
	free(p->state_dir);
	free(p->joining);
	free(p->log);
}

#include "sql/catalogue.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "merge/rowkey.h"

enum { CACHE_SIZE = 512 };

struct answer {
	uint64_t key;            /* rowkey_columns */
	struct mapping *mapping; /* NULL: free */
};

struct catalogue {
	struct answer answers[CACHE_SIZE]; /* direct-mapped: a table that is pushed out is asked for again */
};

struct catalogue *catalogue_new(void)
{
	return mem_alloc(sizeof(struct catalogue));
}

static void catalogue_clear(struct catalogue *catalogue)
{
	for (size_t i = 0; i < CACHE_SIZE; i++)
		mapping_unref(catalogue->answers[i].mapping);
	memset(catalogue, 0, sizeof *catalogue);
}

void catalogue_free(struct catalogue *catalogue)
{
	if (catalogue != NULL)
		catalogue_clear(catalogue);
	free(catalogue);
}

static enum err_code judge(const struct description *d, const struct table_map *map, struct err *err)
{
	if (d == NULL)
		return err_set(err, ERR_UNSUPPORTED, "table %s.%s is not here; create it as it is on the other node",
		               map->database, map->table);
	if (d->engine[0] != '\0' && strcasecmp(d->engine, "InnoDB") != 0)
		return err_set(err, ERR_UNSUPPORTED,
		               "table %s.%s is stored by %s here, which can't commit together with the rest; ALTER TABLE … "
		               "ENGINE=InnoDB on every node",
		               map->database, map->table, d->engine);
	return ERR_OK;
}

enum err_code catalogue_map(struct catalogue *catalogue, struct connection *connection, const struct table_map *map,
                            const struct description *here, struct mapping **ret, struct err *err)
{
	enum err_code code = judge(here, map, err);
	if (code != ERR_OK)
		return code;
	if (!map->has_full_metadata)
		return err_set(
		    err, ERR_UNSUPPORTED,
		    "rows of %s.%s were logged without column names; set binlog_row_metadata=FULL on the node that wrote "
		    "them",
		    map->database, map->table);
	uint64_t key = rowkey_columns(map);
	struct answer *answer = &catalogue->answers[key % CACHE_SIZE];
	if (answer->mapping == NULL || answer->key != key || mapping_description(answer->mapping) != here) {
		struct mapping *mapping;
		code = mapping_new(connection, map, here, &mapping, err);
		if (code != ERR_OK)
			return code;
		mapping_unref(answer->mapping);
		*answer = (struct answer){.key = key, .mapping = mapping};
	}
	*ret = mapping_ref(answer->mapping);
	return ERR_OK;
}

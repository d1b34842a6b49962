/* For src/sql alone: the MYSQL inside a connection, and how its errors become ours. */
#ifndef SYNCLINE_SQL_CONNECTION_INTERNAL_H
#define SYNCLINE_SQL_CONNECTION_INTERNAL_H

#include <mysql.h>

#include "sql/connection.h"

MYSQL *connection_mysql(struct connection *connection);
/* Fills err from the connection's last error; closes the connection when it is lost. */
enum err_code connection_error(struct connection *connection, struct err *err);

#endif

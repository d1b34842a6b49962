/* The guide's SQL, as it is written there. */
#ifndef SYNCLINE_CLI_DEMO_SQL_H
#define SYNCLINE_CLI_DEMO_SQL_H

struct demo_definition {
	const char *sql;   /* run on node 1 only */
	const char *check; /* gives a row on node 2 once it is there; NULL: nothing to see */
};

#define HAS_TABLE(name)                                                                                                \
	"SELECT 'table', TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'rfid_access_control' AND "        \
	"TABLE_NAME = '" name "'"
#define HAS_INDEX(table, name)                                                                                         \
	"SELECT 'index', INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'rfid_access_control' AND "    \
	"TABLE_NAME = '" table "' AND INDEX_NAME = '" name "'"

static const struct demo_definition demo_schema[] = {
    {"CREATE DATABASE IF NOT EXISTS rfid_access_control;",
     "SELECT 'database', SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'rfid_access_control'"},
    {"USE rfid_access_control;", NULL},
    {"CREATE TABLE users (\n"
     "    id INT AUTO_INCREMENT PRIMARY KEY,\n"
     "    name VARCHAR(255) NULL,\n"
     "    nic VARCHAR(50) NULL,\n"
     "    rfid_tag VARCHAR(100) NOT NULL UNIQUE,\n"
     "    status ENUM('IDLE', 'In', 'Out') NOT NULL DEFAULT 'IDLE',\n"
     "    is_active BOOLEAN NOT NULL DEFAULT TRUE,\n"
     "    last_seen_at DATETIME NULL,\n"
     "    last_gate ENUM('NORTH', 'SOUTH', 'EAST') NULL,\n"
     "    last_result ENUM('PASS', 'FAIL') NULL,\n"
     "    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,\n"
     "    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,\n"
     "    node_id VARCHAR(50) NOT NULL DEFAULT 'node1',\n"
     "    version INT NOT NULL DEFAULT 1,\n"
     "    last_sync_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP\n"
     ");",
     HAS_TABLE("users")},
    {"CREATE TABLE logs (\n"
     "    id INT AUTO_INCREMENT PRIMARY KEY,\n"
     "    user_id INT NULL,\n"
     "    event_type ENUM('ENTRY', 'EXIT', 'DENIED') NOT NULL,\n"
     "    gate_location ENUM('NORTH', 'SOUTH', 'EAST') NOT NULL,\n"
     "    device_id VARCHAR(100) NOT NULL,\n"
     "    timestamp DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,\n"
     "    result ENUM('PASS', 'FAIL') NOT NULL,\n"
     "    message TEXT NULL,\n"
     "    node_id VARCHAR(50) NOT NULL DEFAULT 'node1',\n"
     "    synced BOOLEAN NOT NULL DEFAULT FALSE,\n"
     "    sync_timestamp TIMESTAMP NULL,\n"
     "    FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE SET NULL\n"
     ");",
     HAS_TABLE("logs")},
    {"CREATE INDEX idx_users_rfid_tag ON users(rfid_tag);", HAS_INDEX("users", "idx_users_rfid_tag")},
    {"CREATE INDEX idx_users_status ON users(status);", HAS_INDEX("users", "idx_users_status")},
    {"CREATE INDEX idx_users_last_seen ON users(last_seen_at);", HAS_INDEX("users", "idx_users_last_seen")},
    {"CREATE INDEX idx_logs_user_id ON logs(user_id);", HAS_INDEX("logs", "idx_logs_user_id")},
    {"CREATE INDEX idx_logs_timestamp ON logs(timestamp);", HAS_INDEX("logs", "idx_logs_timestamp")},
    {"CREATE INDEX idx_logs_gate_location ON logs(gate_location);", HAS_INDEX("logs", "idx_logs_gate_location")},
    {"CREATE TABLE sync_metadata (\n"
     "    id INT AUTO_INCREMENT PRIMARY KEY,\n"
     "    node_id VARCHAR(50) NOT NULL,\n"
     "    table_name VARCHAR(50) NOT NULL,\n"
     "    last_sync_timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n"
     "    sync_status ENUM('SUCCESS', 'FAILED', 'IN_PROGRESS') NOT NULL DEFAULT 'SUCCESS',\n"
     "    error_message TEXT NULL,\n"
     "    UNIQUE KEY unique_node_table (node_id, table_name)\n"
     ");",
     HAS_TABLE("sync_metadata")},
};

static const struct demo_definition demo_conflict_table[] = {
    {"USE rfid_access_control;", NULL},
    {"CREATE TABLE replication_conflicts (\n"
     "    id INT AUTO_INCREMENT PRIMARY KEY,\n"
     "    table_name VARCHAR(50) NOT NULL,\n"
     "    record_id INT NOT NULL,\n"
     "    conflict_type ENUM('INSERT_DUPLICATE', 'UPDATE_CONFLICT') NOT NULL,\n"
     "    gate_id INT NOT NULL,\n"
     "    conflict_data JSON,\n"
     "    resolved BOOLEAN DEFAULT FALSE,\n"
     "    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP\n"
     ");",
     HAS_TABLE("replication_conflicts")},
};

static const char demo_use[] = "USE rfid_access_control;";

static const char demo_insert_1[] = "INSERT INTO users (name, nic, rfid_tag, node_id) \n"
                                    "VALUES ('Alice Test', '111111111V', 'RFID_TEST_001', 'rpi1');";
static const char demo_select_1[] = "SELECT id, name, rfid_tag, node_id FROM users WHERE rfid_tag = 'RFID_TEST_001';";

static const char demo_insert_2[] = "INSERT INTO users (name, nic, rfid_tag, node_id) \n"
                                    "VALUES ('Bob Test', '222222222V', 'RFID_TEST_002', 'rpi2');";
static const char demo_select_2[] = "SELECT id, name, rfid_tag, node_id FROM users WHERE rfid_tag = 'RFID_TEST_002';";

static const char demo_insert_3[] =
    "INSERT INTO logs (user_id, event_type, gate_location, device_id, result, node_id)\n"
    "VALUES (1, 'ENTRY', 'NORTH', 'GATE1_SCANNER', 'PASS', 'rpi1');";
static const char demo_select_3[] = "SELECT l.*, u.name, u.rfid_tag \n"
                                    "FROM logs l \n"
                                    "JOIN users u ON l.user_id = u.id \n"
                                    "WHERE l.gate_location = 'NORTH';";

static const char demo_insert_4[] = "INSERT INTO users (name, nic, rfid_tag, node_id) \n"
                                    "VALUES ('Offline Test', '333333333V', 'RFID_OFFLINE_001', 'rpi1');";
static const char demo_select_4[] = "SELECT * FROM users WHERE rfid_tag = 'RFID_OFFLINE_001';";

#endif

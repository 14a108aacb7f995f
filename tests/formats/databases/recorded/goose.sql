CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO schema_version (version) VALUES (15);
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '', user_set_name BOOLEAN DEFAULT FALSE,
  session_type TEXT NOT NULL DEFAULT 'user', working_dir TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, extension_data TEXT DEFAULT '{}', total_tokens INTEGER, input_tokens INTEGER,
  output_tokens INTEGER, accumulated_total_tokens INTEGER, accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER,
  accumulated_cost REAL, schedule_id TEXT, recipe_json TEXT, user_recipe_values_json TEXT, provider_name TEXT, model_config_json TEXT,
  goose_mode TEXT NOT NULL DEFAULT 'auto', thread_id TEXT, archived_at TIMESTAMP, project_id TEXT
);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT NOT NULL REFERENCES sessions(id), role TEXT NOT NULL,
  content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL, timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER,
  metadata_json TEXT
);
CREATE TABLE usage_ledger (
  id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, created_timestamp INTEGER, model TEXT, input_tokens INTEGER,
  output_tokens INTEGER, total_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, cost REAL, cost_source TEXT,
  is_compaction INTEGER
);
INSERT INTO sessions (id, name, working_dir, created_at, updated_at, extension_data, accumulated_input_tokens, accumulated_output_tokens,
  accumulated_cost, provider_name, model_config_json) VALUES ('20300101_1', 'Look at the weather', '/srv/ada/notes', '2030-01-01 10:00:00',
  '2030-01-01 10:05:00', '{"todo.v0":{"content":"- [ ] tidy"}}', 250, 50, 0.02, 'anthropic', '{"model_name":"scripted"}');
INSERT INTO messages (message_id, session_id, role, content_json, created_timestamp, metadata_json) VALUES
 ('msg_1', '20300101_1', 'user', '[{"type":"text","text":"Weather in Bergen?"},{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"}]', 1893492000, '{"userVisible":true,"agentVisible":true}'),
 ('msg_2', '20300101_1', 'assistant', '[{"type":"thinking","thinking":"I should look.","signature":"c2ln"},{"type":"redactedThinking","data":"b3BhcXVl"},{"type":"text","text":"I will look."},{"type":"toolRequest","id":"call_a","toolCall":{"status":"success","value":{"name":"weather__get","arguments":{"city":"Bergen"}}}},{"type":"toolRequest","id":"call_b","toolCall":{"status":"error","error":"-32602: no such tool"}}]', 1893492001, '{"userVisible":true,"agentVisible":true}'),
 ('msg_3', '20300101_1', 'user', '[{"type":"toolResponse","id":"call_a","toolResult":{"status":"success","value":{"content":[{"type":"text","text":"It rains in Bergen, as it does on most days of the year."}],"isError":false}}},{"type":"toolResponse","id":"call_b","toolResult":{"status":"error","error":"-32602: no such tool"}}]', 1893492002, '{"userVisible":true,"agentVisible":true}'),
 ('msg_4', '20300101_1', 'assistant', '[{"type":"text","text":"It rains."}]', 1893492010, '{"userVisible":true,"agentVisible":true}'),
 ('msg_5', '20300101_1', 'assistant', '[{"type":"systemNotification","notificationType":"inlineMessage","msg":"Saved."}]', 1893492011, '{"userVisible":true,"agentVisible":false}');
INSERT INTO usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens, total_tokens, cache_read_tokens,
  cache_write_tokens, cost, cost_source, is_compaction) VALUES
 ('20300101_1', 1893492001, 'scripted', 100, 20, 120, 40, 10, 0.005, 'estimated', 0),
 ('20300101_1', 1893492010, 'scripted', 120, 10, 130, 60, 0, 0.004, 'estimated', 0);
INSERT INTO sessions (id, name, working_dir, session_type, created_at) VALUES ('20300102_1', '', '/srv/ada', 'scheduled', '2030-01-02 10:00:00');

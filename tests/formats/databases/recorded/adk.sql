PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE adk_internal_metadata (
	"key" VARCHAR(128) NOT NULL, 
	value VARCHAR(256) NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO adk_internal_metadata VALUES('schema_version','1');
CREATE TABLE sessions (
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	create_time DATETIME NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name, user_id, id)
);
INSERT INTO sessions VALUES('planner','ada','trip-1','{"step": 0}','2026-11-20 14:32:27.683978','2026-11-20 14:32:27.867805');
INSERT INTO sessions VALUES('planner','bob','trip-1','{}','2026-11-20 14:32:27.915584','2026-11-20 14:32:27.928041');
CREATE TABLE app_states (
	app_name VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name)
);
INSERT INTO app_states VALUES('planner','{"theme": "dark"}','2026-11-20 14:32:27');
CREATE TABLE user_states (
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	update_time DATETIME NOT NULL, 
	PRIMARY KEY (app_name, user_id)
);
INSERT INTO user_states VALUES('planner','ada','{"lang": "en"}','2026-11-20 14:32:27');
INSERT INTO user_states VALUES('planner','bob','{}','2026-11-20 14:32:27');
CREATE TABLE events (
	id VARCHAR(128) NOT NULL, 
	app_name VARCHAR(128) NOT NULL, 
	user_id VARCHAR(128) NOT NULL, 
	session_id VARCHAR(128) NOT NULL, 
	invocation_id VARCHAR(256) NOT NULL, 
	timestamp DATETIME NOT NULL, 
	event_data TEXT, 
	PRIMARY KEY (id, app_name, user_id, session_id), 
	FOREIGN KEY(app_name, user_id, session_id) REFERENCES sessions (app_name, user_id, id) ON DELETE CASCADE
);
INSERT INTO events VALUES('461bc417-b8fb-41ee-aa56-b87722c4d9b4','planner','ada','trip-1','e-1','2026-11-20 14:32:27.727041','{"content": {"parts": [{"text": "Weather in Bergen?"}, {"inline_data": {"data": "iVBORyD__v0=", "mime_type": "image/png"}}, {"file_data": {"file_uri": "gs://bucket/x.pdf", "mime_type": "application/pdf"}}], "role": "user"}, "invocation_id": "e-1", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "461bc417-b8fb-41ee-aa56-b87722c4d9b4", "timestamp": 1795185147.7270415}');
INSERT INTO events VALUES('38ce06be-fdda-4ec1-a013-7be896e9d73c','planner','ada','trip-1','e-1','2026-11-20 14:32:27.727152','{"model_version": "gemini-x", "content": {"parts": [{"text": "Thinking of it.", "thought": true, "thought_signature": "c2lnAAE="}, {"function_call": {"id": "c1", "args": {"city": "Bergen"}, "name": "weather"}}, {"function_call": {"id": "c2", "args": {}, "name": "slow"}}], "role": "model"}, "finish_reason": "STOP", "usage_metadata": {"cached_content_token_count": 30, "candidates_token_count": 20, "prompt_token_count": 100, "thoughts_token_count": 7, "total_token_count": 127}, "invocation_id": "e-1", "author": "planner", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "long_running_tool_ids": ["c2"], "id": "38ce06be-fdda-4ec1-a013-7be896e9d73c", "timestamp": 1795185147.7271519}');
INSERT INTO events VALUES('db7f5637-0e34-40f7-8840-05221520769c','planner','ada','trip-1','e-1','2026-11-20 14:32:27.727196','{"content": {"parts": [{"function_response": {"id": "c1", "name": "weather", "response": {"result": "rain"}}}, {"function_response": {"id": "c2", "name": "slow", "response": {"error": "timed out"}}}], "role": "user"}, "invocation_id": "e-1", "author": "planner", "actions": {"state_delta": {"step": 1, "user:lang": "en"}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "db7f5637-0e34-40f7-8840-05221520769c", "timestamp": 1795185147.7271955}');
INSERT INTO events VALUES('cd7b2038-f053-47ae-b4ae-630cd6795326','planner','ada','trip-1','e-1','2026-11-20 14:32:27.727223','{"content": {"parts": [{"text": "It rains \u2013 as ever."}, {"executable_code": {"code": "print(1)", "language": "PYTHON"}}, {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "1"}}], "role": "model"}, "invocation_id": "e-1", "author": "planner", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "cd7b2038-f053-47ae-b4ae-630cd6795326", "timestamp": 1795185147.7272234}');
INSERT INTO events VALUES('c560f7d5-6c24-4aa5-afd9-672c20ce451d','planner','ada','trip-1','e-2','2026-11-20 14:32:27.727254','{"content": {"parts": [{"text": "Next?"}], "role": "user"}, "invocation_id": "e-2", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "branch": "root.helper", "id": "c560f7d5-6c24-4aa5-afd9-672c20ce451d", "timestamp": 1795185147.7272537}');
INSERT INTO events VALUES('675e80f4-e27c-4b6e-999b-f0a67c2efef3','planner','ada','trip-1','e-2','2026-11-20 14:32:27.727269','{"error_code": "429", "error_message": "too much", "invocation_id": "e-2", "author": "planner", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "675e80f4-e27c-4b6e-999b-f0a67c2efef3", "timestamp": 1795185147.7272692}');
INSERT INTO events VALUES('a4fed88a-285d-4f7e-8e57-a7dc44706660','planner','ada','trip-1','c-1','2026-11-20 14:32:27.828203','{"invocation_id": "c-1", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}, "compaction": {"start_timestamp": 1795185147.7270415, "end_timestamp": 1795185147.7271955, "compacted_content": {"parts": [{"text": "They asked about the weather."}], "role": "model"}}}, "node_info": {"path": ""}, "id": "a4fed88a-285d-4f7e-8e57-a7dc44706660", "timestamp": 1795185147.8282034}');
INSERT INTO events VALUES('3ea8194a-d55f-44aa-a5b2-3e764bf65016','planner','ada','trip-1','e-3','2026-11-20 14:32:27.848197','{"invocation_id": "e-3", "author": "user", "actions": {"state_delta": {"step": 0}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}, "rewind_before_invocation_id": "e-2"}, "node_info": {"path": ""}, "id": "3ea8194a-d55f-44aa-a5b2-3e764bf65016", "timestamp": 1795185147.8481972}');
INSERT INTO events VALUES('72df905f-e497-4723-b931-f14ab96cc66c','planner','ada','trip-1','e-4','2026-11-20 14:32:27.867805','{"invocation_id": "e-4", "author": "planner", "actions": {"state_delta": {}, "artifact_delta": {"a.txt": 0}, "transfer_to_agent": "helper", "escalate": true, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "72df905f-e497-4723-b931-f14ab96cc66c", "timestamp": 1795185147.867805}');
INSERT INTO events VALUES('5fcdeeda-8438-4e38-a730-c4832068235d','planner','bob','trip-1','e-9','2026-11-20 14:32:27.928041','{"content": {"parts": [{"text": "Hello from Bob"}], "role": "user"}, "invocation_id": "e-9", "author": "user", "actions": {"state_delta": {}, "artifact_delta": {}, "requested_auth_configs": {}, "requested_tool_confirmations": {}}, "node_info": {"path": ""}, "id": "5fcdeeda-8438-4e38-a730-c4832068235d", "timestamp": 1795185147.9280415}');
CREATE INDEX idx_events_app_user_session_ts_id ON events (app_name, user_id, session_id, timestamp DESC, id DESC);
COMMIT;

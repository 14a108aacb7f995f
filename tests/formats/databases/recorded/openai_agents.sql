PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE agent_sessions (
                session_id TEXT PRIMARY KEY,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            );
INSERT INTO agent_sessions VALUES('trip-42','2026-11-20 14:27:05','2026-11-20 14:27:05');
INSERT INTO agent_sessions VALUES('plain','2026-11-20 14:27:05','2026-11-20 14:27:05');
CREATE TABLE agent_messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                message_data TEXT NOT NULL,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id) REFERENCES agent_sessions (session_id)
                    ON DELETE CASCADE
            );
INSERT INTO agent_messages VALUES(1,'trip-42','{"content": "Weather in Bergen and Oslo?", "role": "user"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(2,'trip-42','{"id": "rs_1", "summary": [{"text": "Two cities to look up.", "type": "summary_text"}], "type": "reasoning", "encrypted_content": "gAAAAABopaque"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(3,'trip-42','{"arguments": "{\"city\": \"Bergen\"}", "call_id": "call_a", "name": "weather", "type": "function_call", "id": "fc_a", "status": "completed"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(4,'trip-42','{"arguments": "{\"city\":\"Oslo\"}", "call_id": "call_b", "name": "weather", "type": "function_call", "id": "fc_b", "status": "completed"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(5,'trip-42','{"call_id": "call_a", "output": "It rains in Bergen, as it does on most days of the year.", "type": "function_call_output"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(6,'trip-42','{"call_id": "call_b", "output": "It rains in Oslo, as it does on most days of the year.", "type": "function_call_output"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(7,'trip-42','{"id": "msg_1", "content": [{"annotations": [], "text": "It rains in both.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(8,'trip-42','{"role": "user", "content": [{"type": "input_text", "text": "And this picture?"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "detail": "auto"}]}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(9,'trip-42','{"id": "msg_2", "content": [{"annotations": [], "text": "Then take a coat \u2013 ok?", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(10,'trip-42','{"content": "Something else?", "role": "user"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(11,'trip-42','{"id": "msg_3", "content": [{"annotations": [], "text": "On the branch.", "type": "output_text"}], "role": "assistant", "status": "completed", "type": "message"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(12,'plain','{"role": "user", "content": "Hello there"}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(13,'plain','{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}','2026-11-20 14:27:05');
INSERT INTO agent_messages VALUES(14,'plain','{"role": "assistant", "content": "Hi"}','2026-11-20 14:27:05');
CREATE TABLE message_structure (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                message_id INTEGER NOT NULL,
                branch_id TEXT NOT NULL DEFAULT 'main',
                message_type TEXT NOT NULL,
                sequence_number INTEGER NOT NULL,
                user_turn_number INTEGER,
                branch_turn_number INTEGER,
                tool_name TEXT,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id)
                    REFERENCES agent_sessions(session_id) ON DELETE CASCADE,
                FOREIGN KEY (message_id)
                    REFERENCES agent_messages(id) ON DELETE CASCADE
            );
INSERT INTO message_structure VALUES(1,'trip-42',1,'main','user',1,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(2,'trip-42',2,'main','reasoning',2,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(3,'trip-42',3,'main','function_call',3,1,1,'weather','2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(4,'trip-42',4,'main','function_call',4,1,1,'weather','2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(5,'trip-42',5,'main','function_call_output',5,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(6,'trip-42',6,'main','function_call_output',6,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(7,'trip-42',7,'main','assistant',7,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(8,'trip-42',8,'main','user',8,2,2,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(9,'trip-42',9,'main','assistant',9,2,2,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(10,'trip-42',1,'what-if','user',10,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(11,'trip-42',2,'what-if','reasoning',11,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(12,'trip-42',3,'what-if','function_call',12,1,1,'weather','2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(13,'trip-42',4,'what-if','function_call',13,1,1,'weather','2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(14,'trip-42',5,'what-if','function_call_output',14,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(15,'trip-42',6,'what-if','function_call_output',15,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(16,'trip-42',7,'what-if','assistant',16,1,1,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(17,'trip-42',10,'what-if','user',17,2,2,NULL,'2026-11-20 14:27:05');
INSERT INTO message_structure VALUES(18,'trip-42',11,'what-if','assistant',18,2,2,NULL,'2026-11-20 14:27:05');
CREATE TABLE turn_usage (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                branch_id TEXT NOT NULL DEFAULT 'main',
                user_turn_number INTEGER NOT NULL,
                requests INTEGER DEFAULT 0,
                input_tokens INTEGER DEFAULT 0,
                output_tokens INTEGER DEFAULT 0,
                total_tokens INTEGER DEFAULT 0,
                input_tokens_details JSON,
                output_tokens_details JSON,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id)
                    REFERENCES agent_sessions(session_id) ON DELETE CASCADE,
                UNIQUE(session_id, branch_id, user_turn_number)
            );
INSERT INTO turn_usage VALUES(1,'trip-42','main',1,2,200,40,240,'{"cache_write_tokens": 0, "cached_tokens": 80, "cache_write_tokens_details": null}','{"reasoning_tokens": 10}','2026-11-20 14:27:05');
INSERT INTO turn_usage VALUES(2,'trip-42','main',2,1,100,20,120,'{"cache_write_tokens": 0, "cached_tokens": 40, "cache_write_tokens_details": null}','{"reasoning_tokens": 5}','2026-11-20 14:27:05');
INSERT INTO turn_usage VALUES(3,'trip-42','what-if',2,1,100,20,120,'{"cache_write_tokens": 0, "cached_tokens": 40, "cache_write_tokens_details": null}','{"reasoning_tokens": 5}','2026-11-20 14:27:05');
CREATE TABLE branch_reservations (
                session_id TEXT NOT NULL,
                branch_id TEXT NOT NULL,
                PRIMARY KEY (session_id, branch_id)
            );
INSERT INTO branch_reservations VALUES('trip-42','main');
INSERT INTO branch_reservations VALUES('trip-42','what-if');
CREATE TABLE session_clear_generations (
                session_id TEXT PRIMARY KEY,
                generation INTEGER NOT NULL DEFAULT 0
            );
INSERT INTO session_clear_generations VALUES('trip-42',0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('agent_messages',14);
INSERT INTO sqlite_sequence VALUES('message_structure',18);
INSERT INTO sqlite_sequence VALUES('turn_usage',3);
CREATE INDEX idx_agent_messages_session_id
            ON agent_messages (session_id, id)
        ;
CREATE INDEX idx_structure_session_seq
            ON message_structure(session_id, sequence_number)
        ;
CREATE INDEX idx_structure_branch
            ON message_structure(session_id, branch_id)
        ;
CREATE INDEX idx_structure_turn
            ON message_structure(session_id, branch_id, user_turn_number)
        ;
CREATE INDEX idx_structure_branch_seq
            ON message_structure(session_id, branch_id, sequence_number)
        ;
CREATE INDEX idx_turn_usage_session_turn
            ON turn_usage(session_id, branch_id, user_turn_number)
        ;
COMMIT;

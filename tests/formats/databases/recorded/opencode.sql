BEGIN TRANSACTION;
CREATE TABLE `message` (
          `id` text PRIMARY KEY,
          `session_id` text NOT NULL,
          `time_created` integer NOT NULL,
          `time_updated` integer NOT NULL,
          `data` text NOT NULL,
          CONSTRAINT `fk_message_session_id_session_id_fk` FOREIGN KEY (`session_id`) REFERENCES `session`(`id`) ON DELETE CASCADE
        );
INSERT INTO "message" VALUES('msg_1f954ba54001w6ok3e8PBBprJH','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184441941,1795184443824,'{"role":"user","time":{"created":1795184441941},"agent":"build","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184443314,1795184447565,'{"parentID":"msg_1f954ba54001w6ok3e8PBBprJH","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184443314,"completed":1795184447560},"finish":"tool-calls"}');
INSERT INTO "message" VALUES('msg_1f954d056001F6THSqMGHdyPGi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184447574,1795184448214,'{"parentID":"msg_1f954ba54001w6ok3e8PBBprJH","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184447574,"completed":1795184448212},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f9551cb8001inAOw7G1hwnQ9S','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184467128,1795184471128,'{"role":"user","time":{"created":1795184467128},"agent":"build","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[{"file":"new.txt","patch":"Index: new.txt\n===================================================================\n--- new.txt\t\n+++ new.txt\t\n@@ -0,0 +1,1 @@\n+hello\n","additions":1,"deletions":0,"status":"added"}]}}');
INSERT INTO "message" VALUES('msg_1f9552266001AtEj9EbwfH2CUA','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184468582,1795184470826,'{"parentID":"msg_1f9551cb8001inAOw7G1hwnQ9S","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184468582,"completed":1795184470824},"finish":"tool-calls"}');
INSERT INTO "message" VALUES('msg_1f9552b300019syLkd54JGzOAs','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184470833,1795184471265,'{"parentID":"msg_1f9551cb8001inAOw7G1hwnQ9S","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184470833,"completed":1795184471263},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f95538d9001b1AmtEJPVJBe5D','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184474329,1795184476295,'{"role":"user","time":{"created":1795184474329},"agent":"build","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f9553fe4001E5P0yA6AoLBjSy','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184476132,1795184477833,'{"parentID":"msg_1f95538d9001b1AmtEJPVJBe5D","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184476132,"completed":1795184477831},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f95551a8001ke3bt3HriSpH0j','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184480680,1795184482054,'{"role":"user","time":{"created":1795184480680},"agent":"build","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f955567f001NzmaasnJQrbkpY','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184481919,1795184484708,'{"parentID":"msg_1f95551a8001ke3bt3HriSpH0j","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184481919,"completed":1795184484706},"finish":"tool-calls"}');
INSERT INTO "message" VALUES('msg_1f9555e91001zgXHglvrvJgwaY','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184483987,1795184484213,'{"role":"user","time":{"created":1795184483987},"agent":"general","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f9555f1f001P1ZyDlMScVFISr','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184484127,1795184484450,'{"parentID":"msg_1f9555e91001zgXHglvrvJgwaY","role":"assistant","mode":"general","agent":"general","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184484127,"completed":1795184484446},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f955616a001SWYYJ6rDPzH5jL','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184484714,1795184485146,'{"parentID":"msg_1f95551a8001ke3bt3HriSpH0j","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795184484714,"completed":1795184485145},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f960889e00134L7v6PeJZzLyP','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185215646,1795185219601,'{"role":"user","model":{"providerID":"loop","modelID":"scripted"},"agent":"build","time":{"created":1795185215646},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f9609404001bJwZzpqEfIQYyv','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185218564,1795185219360,'{"role":"assistant","parentID":"msg_1f960889e00134L7v6PeJZzLyP","mode":"compaction","agent":"compaction","summary":true,"path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795185218564,"completed":1795185219354},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f960977a001djboizE1JuDTxi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219450,1795185224337,'{"role":"user","time":{"created":1795185219450},"agent":"build","model":{"providerID":"loop","modelID":"scripted"},"summary":{"diffs":[]}}');
INSERT INTO "message" VALUES('msg_1f960980d001m9mPScbaAs3Pm3','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219597,1795185223725,'{"parentID":"msg_1f960977a001djboizE1JuDTxi","role":"assistant","mode":"build","agent":"build","path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"cost":0.00012,"tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"modelID":"scripted","providerID":"loop","time":{"created":1795185219597,"completed":1795185223653},"finish":"stop"}');
INSERT INTO "message" VALUES('msg_1f960b62a001wzOcqJpuhZ6zyp','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185227306,1795185227307,'{"time":{"created":1795185227306},"role":"user","agent":"build","model":{"providerID":"loop","modelID":"scripted"}}');
INSERT INTO "message" VALUES('msg_1f960b62d001w9PRhWysIKiqM0','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185227309,1795185227347,'{"parentID":"msg_1f960b62a001wzOcqJpuhZ6zyp","mode":"build","agent":"build","cost":0,"path":{"cwd":"/srv/ada/notes","root":"/srv/ada/notes"},"time":{"created":1795185227309,"completed":1795185227346},"role":"assistant","tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}},"modelID":"scripted","providerID":"loop"}');
CREATE TABLE `part` (
          `id` text PRIMARY KEY,
          `message_id` text NOT NULL,
          `session_id` text NOT NULL,
          `time_created` integer NOT NULL,
          `time_updated` integer NOT NULL,
          `data` text NOT NULL,
          CONSTRAINT `fk_part_message_id_message_id_fk` FOREIGN KEY (`message_id`) REFERENCES `message`(`id`) ON DELETE CASCADE
        );
INSERT INTO "part" VALUES('prt_1f954ba64001mDDvVxTjnEnSxU','msg_1f954ba54001w6ok3e8PBBprJH','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184443258,1795184443266,'{"type":"text","text":"\"look around please\""}');
INSERT INTO "part" VALUES('prt_1f954c745001Yds2o9m34OKi7K','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445253,1795184445261,'{"snapshot":"79c82c5dd9293af47f8ad1f023ef9e792aa55123","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f954c764001TpU9YbK0VmYVuy','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445284,1795184445328,'{"type":"reasoning","text":"I should look at the files.","time":{"start":1795184445284,"end":1795184445318}}');
INSERT INTO "part" VALUES('prt_1f954c7920016WBb2qGXdKmQZg','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445330,1795184445543,'{"type":"text","text":"I will look.","time":{"start":1795184445330,"end":1795184445531}}');
INSERT INTO "part" VALUES('prt_1f954c7ae001PR7TIcDCUxRq6H','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445358,1795184446046,'{"type":"tool","tool":"read","callID":"call_a","state":{"status":"completed","input":{"filePath":"/srv/ada/notes/a.txt"},"output":"<path>/srv/ada/notes/a.txt</path>\n<type>file</type>\n<content>\n1: content of a\n\n(End of file - total 1 lines)\n</content>","metadata":{"preview":"content of a","truncated":false,"loaded":[],"display":{"type":"file","path":"/srv/ada/notes/a.txt","text":"content of a","lineStart":1,"lineEnd":1,"totalLines":1,"truncated":false}},"title":"a.txt","time":{"start":1795184445405,"end":1795184446036}}}');
INSERT INTO "part" VALUES('prt_1f954c7ee0012cgSYnX7PcI6mb','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445422,1795184446328,'{"type":"tool","tool":"bash","callID":"call_b","state":{"status":"completed","input":{"command":"ls","description":"list files"},"output":"a.txt\nopencode.json\n","metadata":{"output":"a.txt\nopencode.json\n","exit":0,"truncated":false},"title":"ls","time":{"start":1795184445448,"end":1795184446312}}}');
INSERT INTO "part" VALUES('prt_1f954c819001VZ5pkfns3tppGH','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184445466,1795184445805,'{"type":"tool","tool":"read","callID":"call_c","state":{"status":"error","input":{"filePath":"/srv/ada/notes/missing.txt"},"error":"File not found: /srv/ada/notes/missing.txt","time":{"start":1795184445494,"end":1795184445629}}}');
INSERT INTO "part" VALUES('prt_1f954cde4001ekjQYzQtxsd3rc','msg_1f954bfb20018ug9LcqAytzyAM','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184446956,1795184446999,'{"reason":"tool-calls","snapshot":"79c82c5dd9293af47f8ad1f023ef9e792aa55123","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f954d1a100165wFkeRE0Kozq1','msg_1f954d056001F6THSqMGHdyPGi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184447906,1795184447913,'{"snapshot":"79c82c5dd9293af47f8ad1f023ef9e792aa55123","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f954d1ac001A9YRr0JFgvF7dR','msg_1f954d056001F6THSqMGHdyPGi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184447916,1795184447928,'{"type":"text","text":"All done.","time":{"start":1795184447916,"end":1795184447927}}');
INSERT INTO "part" VALUES('prt_1f954d278001rlNBxydYmcnFvX','msg_1f954d056001F6THSqMGHdyPGi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184448120,1795184448122,'{"reason":"stop","snapshot":"79c82c5dd9293af47f8ad1f023ef9e792aa55123","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f9551cbc001rXRJjX22ZP8gS1','msg_1f9551cb8001inAOw7G1hwnQ9S','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184468558,1795184468561,'{"type":"text","text":"\"write a file\""}');
INSERT INTO "part" VALUES('prt_1f95529ca0011kTHoWx0EppF5C','msg_1f9552266001AtEj9EbwfH2CUA','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184470474,1795184470492,'{"snapshot":"faf287da9d994698cff362c8a615de0920cced49","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f95529ed001ASnIeOIYVCTZpv','msg_1f9552266001AtEj9EbwfH2CUA','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184470510,1795184470566,'{"type":"tool","tool":"write","callID":"call_w","state":{"status":"completed","input":{"filePath":"/srv/ada/notes/new.txt","content":"hello\n"},"output":"Wrote file successfully.","metadata":{"diagnostics":{},"filepath":"/srv/ada/notes/new.txt","exists":false,"truncated":false},"title":"new.txt","time":{"start":1795184470534,"end":1795184470564}}}');
INSERT INTO "part" VALUES('prt_1f9552a99001IHxnj3Kz6T5EJZ','msg_1f9552266001AtEj9EbwfH2CUA','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184470681,1795184470684,'{"reason":"tool-calls","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f9552b15001yvT6Jk8OA50rdq','msg_1f9552266001AtEj9EbwfH2CUA','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184470805,1795184470811,'{"type":"patch","hash":"faf287da9d994698cff362c8a615de0920cced49","files":["/srv/ada/notes/new.txt"]}');
INSERT INTO "part" VALUES('prt_1f9552bee0015HNqCNe7rmbtzp','msg_1f9552b300019syLkd54JGzOAs','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184471023,1795184471027,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f9552bfa001wHc3W75VgEEz20','msg_1f9552b300019syLkd54JGzOAs','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184471034,1795184471056,'{"type":"text","text":"All done.","time":{"start":1795184471034,"end":1795184471045}}');
INSERT INTO "part" VALUES('prt_1f9552c9b001zCn9iYXzq8mAPT','msg_1f9552b300019syLkd54JGzOAs','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184471196,1795184471197,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f9553f58001o1FtRGnkUcpcd4','msg_1f95538d9001b1AmtEJPVJBe5D','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184476052,1795184476056,'{"type":"text","synthetic":true,"text":"Called the Read tool with the following input: {\"filePath\":\"/srv/ada/notes/dot.png\"}"}');
INSERT INTO "part" VALUES('prt_1f9553f580028GSn0MoiW4cVjB','msg_1f95538d9001b1AmtEJPVJBe5D','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184476057,1795184476059,'{"type":"text","synthetic":true,"text":"Image read successfully"}');
INSERT INTO "part" VALUES('prt_1f9553f580030ip1kV3IZZO2jG','msg_1f95538d9001b1AmtEJPVJBe5D','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184476061,1795184476063,'{"type":"file","mime":"image/png","url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==","synthetic":true,"filename":"dot.png"}');
INSERT INTO "part" VALUES('prt_1f9553f58004Wn2q0Cf9T2PgvY','msg_1f95538d9001b1AmtEJPVJBe5D','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184476064,1795184476065,'{"type":"text","text":"\"what is this\""}');
INSERT INTO "part" VALUES('prt_1f95545eb001hBkqagerfeoWXA','msg_1f9553fe4001E5P0yA6AoLBjSy','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184477675,1795184477678,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f95545f1001Jo62iosg59lRqW','msg_1f9553fe4001E5P0yA6AoLBjSy','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184477681,1795184477704,'{"type":"text","text":"All done.","time":{"start":1795184477681,"end":1795184477694}}');
INSERT INTO "part" VALUES('prt_1f9554642001x5p1B51eI2FmQY','msg_1f9553fe4001E5P0yA6AoLBjSy','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184477762,1795184477764,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f95551c5001cou7hQ2a7Hra5c','msg_1f95551a8001ke3bt3HriSpH0j','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184481889,1795184481892,'{"type":"text","text":"\"delegate this\""}');
INSERT INTO "part" VALUES('prt_1f9555e3e0019r9LFbqUmJkNc3','msg_1f955567f001NzmaasnJQrbkpY','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184483903,1795184483909,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f9555e49001bKjLuvGeltACTY','msg_1f955567f001NzmaasnJQrbkpY','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184483913,1795184484506,'{"type":"tool","tool":"task","callID":"call_t","state":{"status":"completed","input":{"description":"small task","prompt":"Say hi","subagent_type":"general"},"output":"<task id=\"ses_e06aaa191ffejXqiqYEjR3V0ND\" state=\"completed\">\n<task_result>\nAll done.\n</task_result>\n</task>","metadata":{"parentSessionId":"ses_e06ab4642ffedXMwzqn8aQCvkI","sessionId":"ses_e06aaa191ffejXqiqYEjR3V0ND","model":{"modelID":"scripted","providerID":"loop"},"truncated":false},"title":"small task","time":{"start":1795184483967,"end":1795184484492}}}');
INSERT INTO "part" VALUES('prt_1f9555ea4001hMZH5yBgydWtXV','msg_1f9555e91001zgXHglvrvJgwaY','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184484006,1795184484027,'{"type":"text","text":"Say hi"}');
INSERT INTO "part" VALUES('prt_1f9555f87001BfO0s7Bh35vcjY','msg_1f9555f1f001P1ZyDlMScVFISr','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184484232,1795184484233,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f9555f8b001cRL8yG58U5Ez51','msg_1f9555f1f001P1ZyDlMScVFISr','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184484236,1795184484242,'{"type":"text","text":"All done.","time":{"start":1795184484235,"end":1795184484240}}');
INSERT INTO "part" VALUES('prt_1f9555fff001dvJWYbn642pd7Z','msg_1f9555f1f001P1ZyDlMScVFISr','ses_e06aaa191ffejXqiqYEjR3V0ND',1795184484352,1795184484354,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f9556107001IR3xvh0Y4LmDZn','msg_1f955567f001NzmaasnJQrbkpY','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184484616,1795184484618,'{"reason":"tool-calls","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f95561f00012uK6HHCqDzn18h','msg_1f955616a001SWYYJ6rDPzH5jL','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184484849,1795184484850,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f95561f50019MnasH7EV7rAJr','msg_1f955616a001SWYYJ6rDPzH5jL','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184484854,1795184484865,'{"type":"text","text":"All done.","time":{"start":1795184484853,"end":1795184484862}}');
INSERT INTO "part" VALUES('prt_1f95562c5001VqtPGKjEgUzMjH','msg_1f955616a001SWYYJ6rDPzH5jL','ses_e06ab4642ffedXMwzqn8aQCvkI',1795184485061,1795184485063,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f96093e9001bd0rmfgxUDOcYw','msg_1f960889e00134L7v6PeJZzLyP','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185218538,1795185218542,'{"type":"compaction","auto":false}');
INSERT INTO "part" VALUES('prt_1f96095ae001m1Am4VxzjTD99c','msg_1f9609404001bJwZzpqEfIQYyv','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185218990,1795185219011,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f96095d0001VeMBuoLAgTj1L9','msg_1f9609404001bJwZzpqEfIQYyv','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219025,1795185219064,'{"type":"text","text":"Summary: a file was read.","time":{"start":1795185219024,"end":1795185219060}}');
INSERT INTO "part" VALUES('prt_1f96096b90010anU9QEKn7C8F2','msg_1f9609404001bJwZzpqEfIQYyv','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219257,1795185219258,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f9609784001qBfZbPlVRbnOpr','msg_1f960977a001djboizE1JuDTxi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219469,1795185219470,'{"type":"text","text":"after compaction"}');
INSERT INTO "part" VALUES('prt_1f9609784002Uc3g9VCaS4hz5W','msg_1f960977a001djboizE1JuDTxi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219476,1795185219477,'{"type":"agent","name":"general","source":{"value":"@general","start":0,"end":8}}');
INSERT INTO "part" VALUES('prt_1f9609784003CUolgm0I05xsd9','msg_1f960977a001djboizE1JuDTxi','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185219478,1795185219478,'{"type":"text","synthetic":true,"text":" Use the above message and context to generate a prompt and call the task tool with subagent: general"}');
INSERT INTO "part" VALUES('prt_1f960a5cd001854V53OFkraNLa','msg_1f960980d001m9mPScbaAs3Pm3','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185223121,1795185223122,'{"snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-start"}');
INSERT INTO "part" VALUES('prt_1f960a5e9001nm4MhD36h2opyc','msg_1f960980d001m9mPScbaAs3Pm3','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185223145,1795185223181,'{"type":"text","text":"All done.","time":{"start":1795185223145,"end":1795185223179}}');
INSERT INTO "part" VALUES('prt_1f960a685001UkYaPpXH78ceij','msg_1f960980d001m9mPScbaAs3Pm3','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185223301,1795185223303,'{"reason":"stop","snapshot":"ae5357c079626a69cdfd777d9529b4cd04d9788d","type":"step-finish","tokens":{"total":120,"input":60,"output":15,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.00012}');
INSERT INTO "part" VALUES('prt_1f960b62c001EQW8M0e4xHdQp2','msg_1f960b62a001wzOcqJpuhZ6zyp','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185227308,1795185227308,'{"type":"text","text":"The following tool was executed by the user","synthetic":true}');
INSERT INTO "part" VALUES('prt_1f960b62e001iTnwcbsxYeJP51','msg_1f960b62d001w9PRhWysIKiqM0','ses_e06ab4642ffedXMwzqn8aQCvkI',1795185227311,1795185227349,'{"type":"tool","tool":"bash","callID":"01M7WP1DHEN8VVPH0V9H0JBCZG","state":{"status":"completed","time":{"start":1795185227310,"end":1795185227346},"input":{"command":"echo hi"},"title":"","metadata":{"output":"hi\n"},"output":"hi\n"}}');
CREATE TABLE `project` (
          `id` text PRIMARY KEY,
          `worktree` text NOT NULL,
          `vcs` text,
          `name` text,
          `icon_url` text,
          `icon_url_override` text,
          `icon_color` text,
          `time_created` integer NOT NULL,
          `time_updated` integer NOT NULL,
          `time_initialized` integer,
          `sandboxes` text NOT NULL,
          `commands` text
        );
INSERT INTO "project" VALUES('global','/srv/ada/notes','git',NULL,NULL,NULL,NULL,1795184438597,1795185214912,NULL,'[]',NULL);
CREATE TABLE `session` (
          `id` text PRIMARY KEY,
          `project_id` text NOT NULL,
          `workspace_id` text,
          `parent_id` text,
          `slug` text NOT NULL,
          `directory` text NOT NULL,
          `path` text,
          `title` text NOT NULL,
          `version` text NOT NULL,
          `share_url` text,
          `summary_additions` integer,
          `summary_deletions` integer,
          `summary_files` integer,
          `summary_diffs` text,
          `metadata` text,
          `cost` real DEFAULT 0 NOT NULL,
          `tokens_input` integer DEFAULT 0 NOT NULL,
          `tokens_output` integer DEFAULT 0 NOT NULL,
          `tokens_reasoning` integer DEFAULT 0 NOT NULL,
          `tokens_cache_read` integer DEFAULT 0 NOT NULL,
          `tokens_cache_write` integer DEFAULT 0 NOT NULL,
          `revert` text,
          `permission` text,
          `agent` text,
          `model` text,
          `time_created` integer NOT NULL,
          `time_updated` integer NOT NULL,
          `time_compacting` integer,
          `time_archived` integer,
          CONSTRAINT `fk_session_project_id_project_id_fk` FOREIGN KEY (`project_id`) REFERENCES `project`(`id`) ON DELETE CASCADE
        );
INSERT INTO "session" VALUES('ses_e06ab4642ffedXMwzqn8aQCvkI','global',NULL,NULL,'playful-forest','/srv/ada/notes','','Scripted title','1.18.33',NULL,0,0,0,NULL,NULL,0.00108,540,135,45,360,0,NULL,'[{"permission":"question","pattern":"*","action":"deny"},{"permission":"plan_enter","pattern":"*","action":"deny"},{"permission":"plan_exit","pattern":"*","action":"deny"}]','build','{"id":"scripted","providerID":"loop","variant":"default"}',1795184441789,1795185223791,NULL,NULL);
INSERT INTO "session" VALUES('ses_e06aaa191ffejXqiqYEjR3V0ND','global',NULL,'ses_e06ab4642ffedXMwzqn8aQCvkI','misty-forest','/srv/ada/notes','','small task (@general subagent)','1.18.33',NULL,0,0,0,NULL,NULL,0.00012,60,15,5,40,0,NULL,'[{"permission":"question","pattern":"*","action":"deny"},{"permission":"plan_enter","pattern":"*","action":"deny"},{"permission":"plan_exit","pattern":"*","action":"deny"},{"permission":"task","pattern":"*","action":"deny"}]','general','{"id":"scripted","providerID":"loop","variant":"default"}',1795184483951,1795184484553,NULL,NULL);
CREATE TABLE `todo` (
          `session_id` text NOT NULL,
          `content` text NOT NULL,
          `status` text NOT NULL,
          `priority` text NOT NULL,
          `position` integer NOT NULL,
          `time_created` integer NOT NULL,
          `time_updated` integer NOT NULL,
          CONSTRAINT `todo_pk` PRIMARY KEY(`session_id`, `position`),
          CONSTRAINT `fk_todo_session_id_session_id_fk` FOREIGN KEY (`session_id`) REFERENCES `session`(`id`) ON DELETE CASCADE
        );
COMMIT;

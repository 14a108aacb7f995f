// Validates UI messages with the genuine package and converts them to model messages: JSON in, JSON out.
import { convertToModelMessages, safeValidateUIMessages } from 'ai';

let text = '';
for await (const chunk of process.stdin) text += chunk;
const checked = await safeValidateUIMessages({ messages: JSON.parse(text) });
if (!checked.success) {
  console.log(JSON.stringify({ error: String(checked.error) }));
} else {
  console.log(JSON.stringify({ messages: await convertToModelMessages(checked.data) }));
}

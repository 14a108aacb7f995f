-- From here on events may be in blocks, which older code would take for events without a payload. That this was applied is what allows it.
SELECT 1;

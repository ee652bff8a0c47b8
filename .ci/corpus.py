"""Turns the chat corpus chitchat-dataset 0.9.0 into the import format; see corpus beside this file.

    corpus.py WHEEL NDJSON

One line per message: {"room", "sender", "body", "sent_at"}, conversation after conversation, each in its own order.
What is odd in the data, and kept:
- 33 messages are empty (somebody pressed return). Nobody can send such a one, but an import takes it: it was said.
- 419 lines come more than once, alike in room, sender, text and second ("a", "a", "a"): each is a message of its own.
- 7,157 messages have the second of the one before: only their order in the file tells which came first.
- 263 messages begin or end with white space, which is part of what was said.
- In 3,150 conversations one of the two never answers, so the room has one member.
"""

import collections
import json
import os
import sys
import zipfile

MESSAGES, ROOMS, SENDERS, BLANKS = 258_145, 7_168, 1_315, 33


def messages(wheel):
    """Yields room, sender, text and time of each message, as the corpus has them."""
    with zipfile.ZipFile(wheel) as archive, archive.open("chitchat_dataset/dataset.json") as file:
        conversations = json.load(file)
    for room, conversation in conversations.items():
        # A list of turns, each a list of what one of the two said in a row.
        for turn in conversation["messages"]:
            for said in turn:
                yield room, said["sender"], said["text"], said["timestamp"]


def main(wheel, ndjson):
    """Writes the whole file, or none."""
    seen = collections.Counter()
    rooms, senders = set(), set()
    unfinished = ndjson + ".unfinished"
    with open(unfinished, "w", encoding="utf-8", newline="\n") as out:
        for room, sender, text, sent_at in messages(wheel):
            line = {"room": room, "sender": sender, "body": text, "sent_at": sent_at}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            seen.update(["messages"] if text.strip() else ["messages", "blank"])
            rooms.add(room)
            senders.add(sender)
    found = (seen["messages"], len(rooms), len(senders), seen["blank"])
    if found != (MESSAGES, ROOMS, SENDERS, BLANKS):
        sys.exit(f"messages, rooms, senders, blank ones are {found}, not {(MESSAGES, ROOMS, SENDERS, BLANKS)}")
    os.replace(unfinished, ndjson)


main(*sys.argv[1:])

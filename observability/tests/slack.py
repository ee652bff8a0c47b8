"""Stands in for Slack: takes what Alertmanager posts to an incoming webhook, as Slack does, and keeps it."""

import http.server
import json
import threading
import time

# https://api.slack.com/reference/messaging/attachments; what a webhook does not know it refuses here.
MESSAGE = {"channel", "username", "icon_emoji", "icon_url", "link_names", "text", "attachments"}
ATTACHMENT = {"title", "title_link", "pretext", "text", "fallback", "callback_id", "footer", "color", "mrkdwn_in", "fields",
              "actions", "image_url", "thumb_url", "ts"}
ACTION = {"type", "text", "url", "style", "name", "value", "confirm"}


def fault(message):
    """What Slack would refuse about it, or None."""
    attachments = message.get("attachments") or []
    if message.keys() - MESSAGE:
        return f"unknown in the message: {message.keys() - MESSAGE}"
    if not message.get("text") and not attachments:
        return "no_text"
    for attachment in attachments:
        if attachment.keys() - ATTACHMENT:
            return f"unknown in an attachment: {attachment.keys() - ATTACHMENT}"
        if not attachment.get("fallback") or not attachment.get("text"):
            return "an attachment without text or fallback"
        for action in attachment.get("actions") or []:
            if action.keys() - ACTION or action["type"] != "button" or not action.get("text"):
                return f"invalid action: {action}"
            if not action.get("url", "").startswith(("http://", "https://")):
                return f"a button without an address: {action}"
    return None


class Slack:
    def __init__(self):
        slack, self.messages, self.faults = self, [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                arrived = time.monotonic()
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                wrong = fault(message)
                if wrong or self.path != "/services/T000/B000/secret":
                    slack.faults.append(wrong or self.path)
                    self.send_response(400)
                    self.end_headers()
                    return
                for attachment in message["attachments"]:
                    slack.messages.append((arrived, attachment))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/T000/B000/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def first(self, title, after=0.0):
        """(time, attachment) of the first message whose title starts so, and that came after a time."""
        for arrived, attachment in list(self.messages):
            if arrived >= after and attachment["title"].startswith(title):
                return arrived, attachment
        return None

    def kill(self):
        self.server.shutdown()
        self.server.server_close()

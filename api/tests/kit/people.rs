//! People with accounts, and their rooms.

use super::{Answer, Api, Call};
use reqwest::Method;
use serde_json::{Value, json};

/// A member who is logged in.
#[derive(Debug, Clone)]
pub struct User {
    api: Api,
    /// `member_id`
    pub id: String,
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
    /// Display name.
    pub name: String,
    /// Access token.
    pub token: String,
    /// Refresh token.
    pub refresh: String,
}

impl Api {
    /// Opens an account under this name and logs in.
    pub async fn user(&self, name: &str) -> User {
        let local: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        self.user_as(name, &format!("{local}@example.org"), "correct horse battery").await
    }

    /// Opens an account and logs in.
    pub async fn user_as(&self, name: &str, email: &str, password: &str) -> User {
        let body = json!({ "email": email, "password": password, "display_name": name });
        let account = self.post("/members", body).ok(201).await;
        let pair = self.log_in(email, password).ok(200).await;
        User {
            api: self.clone(),
            id: account.str("member_id").to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            name: name.to_owned(),
            token: pair.str("access_token").to_owned(),
            refresh: pair.str("refresh_token").to_owned(),
        }
    }

    /// Several at once, named after their number.
    pub async fn users<const N: usize>(&self) -> [User; N] {
        let mut users = Vec::new();
        for number in 0..N {
            users.push(self.user(&format!("Member {number}")).await);
        }
        users.try_into().unwrap()
    }

    /// A log-in.
    pub fn log_in(&self, email: &str, password: &str) -> Call {
        self.post("/auth/login", json!({ "email": email, "password": password }))
    }

    /// A refresh.
    pub fn refresh(&self, token: &str) -> Call {
        self.post("/auth/refresh", json!({ "refresh_token": token }))
    }
}

impl User {
    /// A request under `/api/v1`, with the token.
    pub fn call(&self, method: Method, path: &str) -> Call {
        self.api.call(method, path).by(self)
    }

    /// `GET` under `/api/v1`, with the token.
    pub fn get(&self, path: &str) -> Call {
        self.api.get(path).by(self)
    }

    /// `POST` under `/api/v1`, with the token.
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.api.post(path, body).by(self)
    }

    /// `PUT` under `/api/v1`, with the token.
    pub fn put(&self, path: &str, body: Value) -> Call {
        self.api.put(path, body).by(self)
    }

    /// `PATCH` under `/api/v1`, with the token.
    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.api.patch(path, body).by(self)
    }

    /// `DELETE` under `/api/v1`, with the token.
    pub fn delete(&self, path: &str) -> Call {
        self.api.delete(path).by(self)
    }

    /// Opens a group room.
    pub async fn room(&self, name: &str) -> Room {
        let answer = self.post("/rooms", json!({ "name": name })).ok(201).await;
        Room { id: answer.str("room_id").to_owned() }
    }

    /// Opens a group room that these are in, too.
    pub async fn room_with(&self, name: &str, others: &[&Self]) -> Room {
        let room = self.room(name).await;
        for other in others {
            other.join(&room).ok(200).await;
        }
        room
    }

    /// Joins a room.
    pub fn join(&self, room: &Room) -> Call {
        self.post(&room.at("/members"), json!({}))
    }

    /// Leaves a room.
    pub fn leave(&self, room: &Room) -> Call {
        self.delete(&room.at("/members/me"))
    }

    /// A message to a room.
    pub fn say(&self, room: &Room, body: &str) -> Call {
        self.post(&room.at("/messages"), json!({ "body": body }))
    }

    /// Marks a room read.
    pub fn read(&self, room: &Room, seq: u64) -> Call {
        self.put(&room.at("/read-cursor"), json!({ "seq": seq }))
    }

    /// All pages of a list, put together: each of `limit` items, but for the last.
    pub async fn all(&self, path: &str, limit: usize, after: &Answer) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let query = format!("{path}{separator}limit={limit}{cursor}");
            let page = self.get(&query).seeing(after).ok(200).await;
            assert!(page.items().len() <= limit, "{page}: a page of more than {limit}");
            items.extend_from_slice(page.items());
            let Some(next) = page["next"].as_str() else {
                assert!(page["next"].is_null(), "{page}");
                return items;
            };
            assert_eq!(page.items().len(), limit, "{page}: a page that is not full, and not the last");
            cursor = format!("&cursor={next}");
        }
    }
}

/// A room.
#[derive(Debug, Clone)]
pub struct Room {
    /// `room_id`
    pub id: String,
}

impl Room {
    /// A path inside the room.
    pub fn at(&self, path: &str) -> String {
        format!("/rooms/{}{path}", self.id)
    }
}

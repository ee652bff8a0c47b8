use super::{
    ports::{FAILURES_MAX, WAIT},
    service,
};
use serde_json::{Value, json};

fn account(email: &str) -> Value {
    json!({ "email": email, "password": "a long enough one", "display_name": "Ada" })
}

#[tokio::test]
async fn an_account_is_opened_once() {
    let client = service().await;
    let opened = client.post("/members", account("Ada@example.org")).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    assert_eq!(opened.json["email"], "Ada@example.org");
    assert!(opened.position() > 0 && opened.header("Idempotency-Replayed").is_none());
    client.post("/members", account("ada@EXAMPLE.org")).await.assert_problem(409, "email_taken");
}

#[tokio::test]
async fn a_repeated_key_gives_the_first_answer_again() {
    let client = service().await;
    let send = |body: Value| client.post("/members", body).header("Idempotency-Key", "try-1");
    let first = send(account("ada@example.org")).await;
    let again = send(account("ada@example.org")).await;
    assert_eq!((again.status, &again.json), (201, &first.json));
    assert_eq!(again.header("Idempotency-Replayed"), Some("true"));
    assert_eq!(again.position(), first.position());
    let mut other = account("ada@example.org");
    other["display_name"] = json!("Eve");
    send(other).await.assert_problem(409, "idempotency_key_reused");
}

#[tokio::test]
async fn a_key_that_is_none_is_not_passed_over() {
    let client = service().await;
    for bad in ["", "a b", &"x".repeat(129)] {
        let answer = client.post("/members", account("a@b.c")).header("Idempotency-Key", bad).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.wrong(), ["Idempotency-Key"], "{bad:?}");
    }
    let twice = client.post("/members", account("a@b.c")).header("Idempotency-Key", "a");
    assert_eq!(twice.header("Idempotency-Key", "b").await.wrong(), ["Idempotency-Key"]);
    let mut bytes = client.post("/members", account("a@b.c"));
    bytes = bytes.header("Idempotency-Key", "ä");
    assert_eq!(bytes.await.wrong(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn logging_in_gives_tokens_that_work() {
    let client = service().await;
    let (id, token) = client.member("ada").await;
    let own = client.get("/members/me").by(&token).await;
    assert_eq!(own.status, 200);
    assert_eq!(
        own.json,
        json!({ "member_id": id, "email": "ada@example.org", "display_name": "ada", "role": "member" })
    );
    // The scheme's case does not matter (RFC 9110, section 11.1).
    let shouted = client.get("/members/me").header("Authorization", &format!("BEARER {token}")).await;
    assert_eq!(shouted.status, 200);
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_be() {
    let client = service().await;
    let nobody = client.get("/members/me").await;
    nobody.assert_problem(401, "missing_token");
    assert_eq!(nobody.header("WWW-Authenticate"), Some("Bearer"));
    for other in ["Basic YTpi", "Bearer", "Bearer ", ""] {
        let answer = client.get("/members/me").header("Authorization", other).await;
        answer.assert_problem(401, "missing_token");
    }
    let wrong = client.get("/members/me").by("made-up").await;
    wrong.assert_problem(401, "invalid_token");
    assert_eq!(wrong.header("WWW-Authenticate"), Some(r#"Bearer error="invalid_token""#));
}

#[tokio::test]
async fn guessing_is_answered_alike_and_then_slowed() {
    let client = service().await;
    client.member("ada").await;
    let log_in = |email: &str| client.post("/auth/login", json!({ "email": email, "password": "a guess" }));
    let (known, unknown) = (log_in("ada@example.org").await, log_in("eve@example.org").await);
    known.assert_problem(401, "wrong_credentials");
    assert_eq!(known.json["detail"], unknown.json["detail"]);
    for _ in 1..FAILURES_MAX {
        log_in("ada@example.org").await.assert_problem(401, "wrong_credentials");
    }
    let limited = log_in("ada@example.org").await;
    limited.assert_problem(429, "too_many_attempts");
    // Rounded up: whoever obeys is not early.
    assert_eq!(limited.header("Retry-After"), Some((WAIT.as_secs() + 1).to_string().as_str()));
}

#[tokio::test]
async fn a_refresh_token_works_once() {
    let client = service().await;
    client.member("ada").await;
    let login = json!({ "email": "ada@example.org", "password": "password of ada" });
    let tokens = client.post("/auth/login", login).await.json;
    assert_eq!(tokens["token_type"], "Bearer");
    let refresh = |token: &Value| client.post("/auth/refresh", json!({ "refresh_token": token }));
    let next = refresh(&tokens["refresh_token"]).await;
    assert_eq!(next.status, 200);
    refresh(&tokens["refresh_token"]).await.assert_problem(401, "invalid_refresh_token");
    refresh(&next.json["refresh_token"]).await.assert_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let client = service().await;
    client.member("ada").await;
    let login = json!({ "email": "ada@example.org", "password": "password of ada" });
    let tokens = client.post("/auth/login", login).await.json;
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    let out = client.post("/auth/logout", body.clone()).await;
    assert_eq!((out.status, out.text.as_str()), (204, ""));
    assert_eq!(client.post("/auth/logout", body.clone()).await.status, 204);
    client.post("/auth/refresh", body).await.assert_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn an_account_is_changed_by_its_owner() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    let change = |body: Value| client.patch("/members/me", body).by(&token);
    let renamed = change(json!({ "display_name": "Countess" })).await;
    assert_eq!((renamed.status, renamed.json["display_name"].as_str()), (200, Some("Countess")));
    assert!(renamed.position() > 0);
    let password = |current: &str| json!({ "current_password": current, "new_password": "another long one" });
    change(password("not that one")).await.assert_problem(403, "wrong_password");
    assert_eq!(change(password("password of ada")).await.status, 200);
    let login = json!({ "email": "ada@example.org", "password": "another long one" });
    assert_eq!(client.post("/auth/login", login).await.status, 200);
}

#[tokio::test]
async fn a_change_names_what_it_lacks() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    for (body, wrong) in [
        (json!({}), "body"),
        (json!({ "new_password": "another long one" }), "current_password"),
        (json!({ "current_password": "password of ada" }), "new_password"),
        (json!({ "display_name": null }), "display_name"),
        (json!({ "email": "new@example.org" }), "email"),
    ] {
        let answer = client.patch("/members/me", body.clone()).by(&token).await;
        answer.assert_problem(400, "invalid_request");
        assert_eq!(answer.wrong().last(), Some(&wrong), "{body}");
    }
}

#[tokio::test]
async fn the_directory_is_read_page_by_page() {
    let client = service().await;
    let (_, token) = client.member("ada").await;
    for name in ["bob", "cyd", "dan"] {
        client.member(name).await;
    }
    let mut names = Vec::new();
    let mut path = "/members?limit=3".to_owned();
    loop {
        let page = client.get(&path).by(&token).await;
        assert_eq!(page.status, 200, "{}", page.text);
        names.extend(page.json["items"].as_array().unwrap().iter().map(|one| one["display_name"].clone()));
        match page.json["next"].as_str() {
            Some(next) => path = format!("/members?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["ada", "bob", "cyd", "dan"]);
    let found = client.get("/members?query=YD").by(&token).await;
    assert_eq!(found.json["items"].as_array().map(Vec::len), Some(1));
    client.get("/members?cursor=nonsense").by(&token).await.assert_problem(400, "invalid_field");
}

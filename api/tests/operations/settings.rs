//! Settings: a wrong one stops the start and is named; flags go over the environment, and that over the file.

use crate::{
    common::{Output, Setup},
    kit::Api,
};

async fn refusal(setup: Setup) -> Output {
    let mut app = setup.stopped();
    match app.try_start().await {
        Ok(()) => panic!("it started"),
        Err(output) => {
            assert!(!output.status.success());
            assert!(!app.data().join("events.db").exists(), "it made a log all the same");
            output
        }
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_whatever_its_door() {
    for (name, value) in [
        ("VERBATIM_LISTEN", "here"),
        ("VERBATIM_LISTEN", "127.0.0.1"),
        ("VERBATIM_LISTEN", "127.0.0.1:99999"),
        ("VERBATIM_EVENT_STORE_URL", "postgres://db/verbatim"),
        ("VERBATIM_EVENT_STORE_URL", "sqlite:"),
        ("VERBATIM_READ_MODEL_URL", "mysql://db/verbatim"),
        ("VERBATIM_REDIS_URL", "redis://cache"),
        ("VERBATIM_JWT_SECRET", "hunter2 is short"),
        ("VERBATIM_LOG", "verbatim=loud=very"),
        ("VERBATIM_TRUSTED_PROXIES", "10.0.0.1, somewhere"),
        ("VERBATIM_TRUSTED_PROXIES", "10.0.0.0/64"),
        ("VERBATIM_CORS_ORIGINS", "chat.example"),
    ] {
        // The flags of the test harness would win.
        let (app, door) = (Setup::default().environment(name, value).stopped(), name);
        let arguments: &[&str] =
            if name == "VERBATIM_LISTEN" { &["serve"] } else { &["serve", "--listen", "127.0.0.1:0"] };
        let refused = app.cli(arguments).await;
        assert!(!refused.status.success(), "{door}={value}: {refused:?}");
        assert!(refused.stderr.contains(name), "{door}={value}: {refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "a secret is shown: {refused:?}");
        assert!(!app.data().join("events.db").exists(), "it made a log all the same");
    }
    let flag = refusal(Setup::default().argument("--trusted-proxies").argument("somewhere")).await;
    assert!(flag.stderr.contains("VERBATIM_TRUSTED_PROXIES"), "{flag:?}");
}

async fn with_file(toml: &str) -> Output {
    let app = Setup::default().stopped();
    std::fs::write(app.folder().join("verbatim.toml"), toml).unwrap();
    app.cli(&["serve", "--listen", "127.0.0.1:0"]).await
}

#[tokio::test]
async fn a_wrong_file_is_named_and_its_secrets_are_not_shown() {
    for (toml, name) in [
        ("jwt_secret = 'hunter2'", "VERBATIM_JWT_SECRET"),
        ("cors_origins = 'chat.example'", "VERBATIM_CORS_ORIGINS"),
        ("colour = 'red'", "verbatim.toml"),
        ("jwt_secret = hunter2", "verbatim.toml"),
        ("jwt_secret = 7", "verbatim.toml"),
        ("[", "verbatim.toml"),
    ] {
        let refused = with_file(toml).await;
        assert!(!refused.status.success(), "{toml}");
        assert!(refused.stderr.contains(name), "{toml}: {refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{toml}: {refused:?}");
    }
}

#[tokio::test]
async fn the_file_counts_where_nothing_else_is_said() {
    let mut app = Setup::default().environment("VERBATIM_TRUSTED_PROXIES", "10.0.0.1").stopped();
    let toml = "cors_origins = 'https://chat.example'\ntrusted_proxies = 'not even an address'\nlisten = 'nowhere'\n";
    std::fs::write(app.folder().join("verbatim.toml"), toml).unwrap();
    // The environment wins over the file for one, a flag for another; else either would stop the start.
    app.start().await;
    let api = Api::new(&app.server.base());
    let answer = api.page("/health/live").header("Origin", "https://chat.example").ok(200).await;
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("https://chat.example"));
}

#[tokio::test]
async fn databases_stand_where_the_settings_say() {
    let mut app = Setup::default().stopped();
    let (log, read) = (app.folder().join("elsewhere.db"), app.folder().join("models.db"));
    app = Setup::default()
        .environment("VERBATIM_EVENT_STORE_URL", &format!("sqlite:{}", log.display()))
        .environment("VERBATIM_READ_MODEL_URL", &format!("sqlite://{}", read.display()))
        .data(&app.folder().join("data"))
        .stopped();
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    app.start().await;
    let api = Api::new(&app.server.base());
    let ada = api.user("Ada").await;
    let room = ada.room("Engines").await;
    let sent = ada.say(&room, "hello").ok(201).await;
    ada.get("/me/rooms").seeing(&sent).ok(200).await;
    assert!(log.exists() && read.exists());
    assert!(!app.data().join("events.db").exists() && !app.data().join("read.db").exists());
    app.stop().await;
}

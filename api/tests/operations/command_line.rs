//! The command line: what it answers, and that it says so when it can't.

use crate::{
    common::Setup,
    kit::{cli::succeed, start},
};

#[tokio::test]
async fn it_says_what_it_is_and_what_it_does() {
    let app = Setup::default().stopped();
    let version = app.cli(&["--version"]).await;
    assert!(version.status.success());
    assert_eq!(version.stdout, format!("verbatim {}\n", env!("CARGO_PKG_VERSION")));
    let help = app.cli(&["--help"]).await;
    assert!(help.status.success());
    for command in
        ["serve", "migrate", "projections", "events", "import", "members", "openapi", "VERBATIM_LISTEN"]
    {
        assert!(help.stdout.contains(command), "{command} is not in {}", help.stdout);
    }
    for wrong in
        [&["nothing"][..], &["--nothing"], &["projections"], &["projections", "rebuild"], &["import"]]
    {
        let refused = app.cli(wrong).await;
        assert!(!refused.status.success() && !refused.stderr.is_empty(), "{wrong:?}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{wrong:?}: {refused:?}");
    }
    // None of that has made a data folder.
    assert!(!app.data().exists());
}

#[tokio::test]
async fn it_prints_the_document_that_is_committed() {
    let app = Setup::default().stopped();
    let printed = succeed(&app, &["openapi"]).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    assert!(
        printed == std::fs::read_to_string(path).unwrap(),
        "docs/openapi.json is not current: make openapi"
    );
    assert!(!app.data().exists());
}

#[tokio::test]
async fn the_schemas_are_made_and_made_again() {
    let mut app = Setup::default().stopped();
    succeed(&app, &["migrate"]).await;
    let files = || {
        let names = std::fs::read_dir(app.data()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    for name in ["events.db", "read.db"] {
        assert!(files().contains(&name.to_owned()), "{:?}", files());
    }
    succeed(&app, &["migrate"]).await;
    app.start().await;
    // Also while the service runs.
    succeed(&app, &["migrate"]).await;
    app.stop().await;
}

#[tokio::test]
async fn one_service_has_a_data_folder() {
    let (app, api) = start().await;
    let mut second = Setup::default().data(app.data()).stopped();
    let refused = second.try_start().await.unwrap_err();
    assert!(!refused.status.success());
    let folder = app.data().display().to_string();
    assert!(
        refused.stderr.contains("another verbatim serve") && refused.stderr.contains(&folder),
        "{refused:?}"
    );
    // The first has not noticed.
    let ada = api.user("Ada").await;
    ada.room("Engines").await;
    drop(app);
}

#[tokio::test]
async fn a_dead_service_leaves_its_folder_to_the_next() {
    let (mut app, api) = start().await;
    let ada = api.user("Ada").await;
    app.kill_9().await;
    let mut second = Setup::default().data(app.data()).stopped();
    second.start().await;
    crate::kit::Api::new(&second.server.base()).get("/members/me").by(&ada).ok(200).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (app, _api) = start().await;
    let other = Setup::default().stopped();
    let taken = app.server.authority();
    let refused = other.cli(&["serve", "--listen", &taken]).await;
    assert!(!refused.status.success());
    assert!(refused.stderr.contains(&taken), "{refused:?}");
}

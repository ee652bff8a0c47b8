//! The rules of an account, one by one.

mod common;

use common::{ANNA, BEN, at, display_name, email, given, password_hash};
use verbatim_domain::{
    ErrorKind, Rejection,
    member::{Member, MemberCommand, MemberError, MemberEvent, MemberRole},
};

fn register() -> MemberCommand {
    MemberCommand::Register {
        member_id: ANNA,
        email: email("anna@example.org"),
        display_name: display_name("Anna"),
        password_hash: Some(password_hash("$first")),
        at: at(0),
    }
}

fn registered() -> MemberEvent {
    MemberEvent::MemberRegistered {
        member_id: ANNA,
        email: email("anna@example.org"),
        display_name: display_name("Anna"),
        password_hash: Some(password_hash("$first")),
        at: at(0),
    }
}

fn renamed(name: &str) -> MemberEvent {
    MemberEvent::DisplayNameChanged { member_id: ANNA, display_name: display_name(name), at: at(1) }
}

fn rename(name: &str) -> MemberCommand {
    MemberCommand::ChangeDisplayName { display_name: display_name(name), at: at(1) }
}

fn role_changed(role: MemberRole) -> MemberEvent {
    MemberEvent::MemberRoleChanged { member_id: ANNA, role, at: at(1) }
}

fn password_changed(hash: &str) -> MemberEvent {
    MemberEvent::PasswordChanged { member_id: ANNA, password_hash: password_hash(hash), at: at(1) }
}

#[test]
fn whoever_registers_is_a_member() {
    given::<Member>([]).when(register()).then([registered()]);
    let member = given::<Member>([registered()]).state();
    let profile = member.profile().unwrap();
    assert_eq!(profile.member_id, ANNA);
    assert_eq!(profile.email, email("anna@example.org"));
    assert_eq!(profile.display_name, display_name("Anna"));
    assert_eq!(profile.password_hash, Some(password_hash("$first")));
    assert_eq!((profile.role, profile.password_changes), (MemberRole::Member, 0));
}

#[test]
fn an_account_may_have_no_password() {
    let command = |password_hash| MemberCommand::Register {
        member_id: BEN,
        email: email("ben@example.org"),
        display_name: display_name("Ben"),
        password_hash,
        at: at(0),
    };
    given::<Member>([]).when(command(None)).then([MemberEvent::MemberRegistered {
        member_id: BEN,
        email: email("ben@example.org"),
        display_name: display_name("Ben"),
        password_hash: None,
        at: at(0),
    }]);
}

#[test]
fn nobody_registers_twice() {
    given::<Member>([registered()]).when(register()).then_refused(MemberError::AlreadyRegistered);
}

#[test]
fn a_name_changes() {
    given::<Member>([registered()]).when(rename("Anna B.")).then([renamed("Anna B.")]);
    let member = given::<Member>([registered(), renamed("Anna B.")]).state();
    assert_eq!(member.profile().unwrap().display_name, display_name("Anna B."));
}

#[test]
fn the_same_name_again_changes_nothing() {
    given::<Member>([registered()]).when(rename("Anna")).then_nothing();
    given::<Member>([registered(), renamed("Ann")]).when(rename("Ann")).then_nothing();
    given::<Member>([registered(), renamed("Ann")]).when(rename("Anna")).then([renamed("Anna")]);
}

#[test]
fn a_password_changes_and_is_counted() {
    let command = MemberCommand::ChangePassword { password_hash: password_hash("$second"), at: at(1) };
    given::<Member>([registered()]).when(command).then([password_changed("$second")]);
    let member = given::<Member>([registered(), password_changed("$2"), password_changed("$3")]).state();
    let profile = member.profile().unwrap();
    assert_eq!((profile.password_hash.as_ref(), profile.password_changes), (Some(&password_hash("$3")), 2));
}

#[test]
fn the_same_password_again_is_a_change_all_the_same() {
    // A change voids all tokens, which is what somebody wants who sets the same password once more.
    let command = MemberCommand::ChangePassword { password_hash: password_hash("$first"), at: at(1) };
    given::<Member>([registered()]).when(command).then([password_changed("$first")]);
}

#[test]
fn a_role_changes_once() {
    let command = |role| MemberCommand::ChangeRole { role, at: at(1) };
    let admin = role_changed(MemberRole::Admin);
    given::<Member>([registered()]).when(command(MemberRole::Admin)).then([admin.clone()]);
    given::<Member>([registered()]).when(command(MemberRole::Member)).then_nothing();
    given::<Member>([registered(), admin.clone()]).when(command(MemberRole::Admin)).then_nothing();
    given::<Member>([registered(), admin.clone()])
        .when(command(MemberRole::Member))
        .then([role_changed(MemberRole::Member)]);
    assert_eq!(given::<Member>([registered(), admin]).state().profile().unwrap().role, MemberRole::Admin);
}

#[test]
fn an_account_that_does_not_exist_changes_nothing() {
    let commands = [
        rename("Anna"),
        MemberCommand::ChangePassword { password_hash: password_hash("$second"), at: at(1) },
        MemberCommand::ChangeRole { role: MemberRole::Admin, at: at(1) },
        MemberCommand::ChangeRole { role: MemberRole::Member, at: at(1) },
    ];
    for command in commands {
        given::<Member>([]).when(command).then_refused(MemberError::NotFound);
    }
    assert_eq!(given::<Member>([]).state().profile(), None);
}

#[test]
fn events_apply_in_any_state() {
    let events = [renamed("Ann"), password_changed("$2"), role_changed(MemberRole::Admin)];
    assert_eq!(given::<Member>(events).state(), Member::default());
}

#[test]
fn the_codes_of_refusals_stay() {
    for (error, code, kind) in [
        (MemberError::NotFound, "member_not_found", ErrorKind::NotFound),
        (MemberError::AlreadyRegistered, "member_exists", ErrorKind::Conflict),
    ] {
        assert_eq!((error.code(), error.kind()), (code, kind));
    }
}

//! A fake election of leaders, which does what it is told.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;
use verbatim_application::ports::{Leadership, LeadershipError, Lease};

#[derive(Default)]
struct State {
    /// Who leads, by which lease, and the end of it.
    leader: Option<(usize, u64, watch::Sender<bool>)>,
    leases: u64,
    banned: BTreeSet<usize>,
    broken: bool,
}

/// The electorate.
#[derive(Default)]
pub struct Elections(Mutex<State>);

impl Elections {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One who stands for election.
    pub fn candidate(self: &Arc<Self>, number: usize) -> Arc<dyn Leadership> {
        Arc::new(Candidate { elections: Arc::clone(self), number })
    }

    pub fn leader(&self) -> Option<usize> {
        self.0.lock().unwrap().leader.as_ref().map(|(number, ..)| *number)
    }

    /// Takes the lead from this one, who does not get it back until [`Self::readmit`]; another one may have it at once.
    pub fn depose(&self, number: usize) {
        let mut state = self.0.lock().unwrap();
        state.banned.insert(number);
        if state.leader.as_ref().is_some_and(|(leader, ..)| *leader == number) {
            let (.., lost) = state.leader.take().unwrap();
            lost.send_replace(true);
        }
    }

    /// Takes the lead from whoever has it.
    pub fn depose_leader(&self) -> usize {
        let leader = self.leader().expect("nobody leads");
        self.depose(leader);
        leader
    }

    pub fn readmit(&self, number: usize) {
        self.0.lock().unwrap().banned.remove(&number);
    }

    /// Whether nobody can find out who leads.
    pub fn set_broken(&self, broken: bool) {
        self.0.lock().unwrap().broken = broken;
    }
}

struct Candidate {
    elections: Arc<Elections>,
    number: usize,
}

/// Gives the lead back when dropped, unless it was taken already.
struct Held {
    elections: Arc<Elections>,
    lease: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.elections.0.lock().unwrap();
        if state.leader.as_ref().is_some_and(|(_, lease, _)| *lease == self.lease) {
            state.leader = None;
        }
    }
}

#[async_trait::async_trait]
impl Leadership for Candidate {
    async fn try_lead(&self, task: &str) -> Result<Option<Lease>, LeadershipError> {
        assert_eq!(task, "projections");
        let mut state = self.elections.0.lock().unwrap();
        if state.broken {
            return Err(LeadershipError("told to fail".into()));
        }
        if state.leader.is_some() || state.banned.contains(&self.number) {
            return Ok(None);
        }
        state.leases += 1;
        let (lease, (lost, watched)) = (state.leases, watch::channel(false));
        state.leader = Some((self.number, lease, lost));
        Ok(Some(Lease::new(watched, Box::new(Held { elections: Arc::clone(&self.elections), lease }))))
    }
}

/// One who believes to lead whatever the others do.
pub struct Usurper(watch::Sender<bool>);

impl Usurper {
    pub fn leadership() -> Arc<dyn Leadership> {
        Arc::new(Self(watch::Sender::new(false)))
    }
}

#[async_trait::async_trait]
impl Leadership for Usurper {
    async fn try_lead(&self, _: &str) -> Result<Option<Lease>, LeadershipError> {
        Ok(Some(Lease::new(self.0.subscribe(), Box::new(()))))
    }
}

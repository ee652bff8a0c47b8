//! The operators' verbs on all read models, wherever they are kept.

use verbatim_projections::{
    Admin, Difference, Progress, ProjectionError, ProjectionStatus, RedisUnreadAdmin, Verified,
};

/// The relational projection of unread counts. What Redis holds of them goes with it: verified with it and rebuilt with it.
const UNREAD: &str = "unread";

/// Verbs for the relational read models, and for the unread counts in Redis if there are any.
#[derive(Clone)]
pub struct Verbs {
    relational: Admin,
    redis: Option<RedisUnreadAdmin>,
}

/// Names, by where they are.
struct Chosen<'a> {
    relational: Vec<&'a str>,
    redis: Option<&'a RedisUnreadAdmin>,
}

impl Verbs {
    /// For these.
    #[must_use]
    pub fn new(relational: Admin, redis: Option<RedisUnreadAdmin>) -> Self {
        Self { relational, redis }
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.relational.names().into_iter().chain(self.redis.as_ref().map(RedisUnreadAdmin::name)).collect()
    }

    /// Whether an operation is under way in this process.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.relational.is_busy() || self.redis.as_ref().is_some_and(RedisUnreadAdmin::is_busy)
    }

    fn redis_for(&self, name: &str) -> Option<&RedisUnreadAdmin> {
        self.redis.as_ref().filter(|redis| redis.name() == name)
    }

    fn choose<'a>(&'a self, names: &'a [impl AsRef<str>]) -> Chosen<'a> {
        let names = names.iter().map(AsRef::as_ref);
        let (redis, relational): (Vec<&str>, Vec<&str>) =
            names.partition(|name| self.redis_for(name).is_some());
        let wanted = !redis.is_empty() || relational.contains(&UNREAD);
        Chosen { relational, redis: self.redis.as_ref().filter(|_| wanted) }
    }

    /// Where all projections are.
    ///
    /// # Errors
    /// The log or the relational database can't be read. Redis being away is no error but stands in its row.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ProjectionError> {
        let mut all = self.relational.status().await?;
        if let Some(redis) = &self.redis {
            all.push(redis.status().await?);
        }
        Ok(all)
    }

    /// As [`Admin::rebuild`]; what is in Redis at the same time.
    ///
    /// # Errors
    /// The first of both; the other is finished all the same.
    pub async fn rebuild(
        &self,
        names: &[impl AsRef<str>],
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ProjectionError> {
        let chosen = self.choose(names);
        let Some(redis) = chosen.redis else {
            return self.relational.rebuild(&chosen.relational, progress).await;
        };
        if chosen.relational.is_empty() {
            return redis.rebuild(progress).await;
        }
        // The relational one takes longer, so its progress is that of both.
        let mut unseen = |_: Progress| {};
        let (one, two) =
            tokio::join!(self.relational.rebuild(&chosen.relational, progress), redis.rebuild(&mut unseen));
        one.and(two)
    }

    /// As [`Admin::verify`].
    ///
    /// # Errors
    /// As there.
    pub async fn verify(
        &self,
        names: &[impl AsRef<str>],
        progress: &mut (dyn FnMut(Progress) + Send),
        on_difference: &mut (dyn FnMut(Difference) + Send),
    ) -> Result<Verified, ProjectionError> {
        let chosen = self.choose(names);
        let relational = match &*chosen.relational {
            [] => None,
            names => Some(self.relational.verify(names, progress, on_difference).await?),
        };
        let redis = match chosen.redis {
            Some(redis) => Some(redis.verify(progress, on_difference).await?),
            None => None,
        };
        match (relational, redis) {
            (Some(one), Some(two)) => Ok(Verified {
                position: one.position.min(two.position),
                rows: one.rows + two.rows,
                differences: one.differences + two.differences,
            }),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err(ProjectionError::Unknown(String::new())),
        }
    }

    /// As [`Admin::rollback`], of exactly this one.
    ///
    /// # Errors
    /// As there.
    pub async fn rollback(
        &self,
        name: &str,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), ProjectionError> {
        match self.redis_for(name) {
            Some(redis) => redis.rollback(progress).await,
            None => self.relational.rollback(name, progress).await,
        }
    }

    /// As [`Admin::drop_old`], of exactly this one.
    ///
    /// # Errors
    /// As there.
    pub async fn drop_old(&self, name: &str) -> Result<(), ProjectionError> {
        match self.redis_for(name) {
            Some(redis) => redis.drop_old().await,
            None => self.relational.drop_old(name).await,
        }
    }
}

//! `subscribeAvailability`: what `isAvailable` says of some images, told again whenever it says otherwise.
//!
//! Looked at in memory, at most four times a second; what changed and changed back between two looks is not told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::Hash;
use printsy_rpc::RpcError;
use printsy_rpc::market::{Availability, BlockRef, ImageParams};
use printsy_rpc::subscription::{SubscribeAvailability, SubscribeAvailabilityParams};
use printsy_rpc::text::ImageId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::{Feed, Serve, too_many};
use crate::server::context::Context;
use crate::server::errors;
use crate::server::limits::MAX_WATCHED_IMAGES_IN_ALL;
use crate::server::market::{self, Seen};

/// How long after one look the next may come.
const LOOK_AFTER: Duration = Duration::from_millis(250);

impl Serve for SubscribeAvailability {
    type Feed = Images;

    async fn open(context: Arc<Context>, params: SubscribeAvailabilityParams) -> Result<Images, RpcError> {
        let mut images = Vec::new();
        for image in Vec::<ImageId>::from(params.images) {
            let image = market::known_image(&context, ImageParams { image })?;
            if !images.iter().any(|watched: &Image| watched.image == image) {
                images.push(Image { image, seen: None, told: None });
            }
        }
        let count = u32::try_from(images.len()).unwrap_or(u32::MAX);
        let places = context.watched_images.clone().try_acquire_many_owned(count).map_err(|_| {
            let most = MAX_WATCHED_IMAGES_IN_ALL;
            too_many(format!("this node watches as many images as it may, {most} in all"))
        })?;
        let changes = context.node.changes();
        let tip = Hash::ZERO;
        let next_look = Instant::now();
        Ok(Images { context, changes, images, tip, next_look, changed: VecDeque::new(), _places: places })
    }
}

/// One image, and what was last seen and told of it.
struct Image {
    image: u64,
    seen: Option<Seen>,
    /// But for the tip it was said of, which is no news.
    told: Option<Availability>,
}

/// The feed.
pub(super) struct Images {
    context: Arc<Context>,
    changes: watch::Receiver<u64>,
    images: Vec<Image>,
    /// The tip at the last look; zero before the first.
    tip: Hash,
    next_look: Instant,
    /// Which of them changed, not told yet.
    changed: VecDeque<usize>,
    _places: OwnedSemaphorePermit,
}

impl Feed for Images {
    type Item = Availability;

    async fn next(&mut self) -> Result<Availability, RpcError> {
        loop {
            while let Some(index) = self.changed.pop_front() {
                if let Some(availability) = self.read(index).await? {
                    return Ok(availability);
                }
            }
            if self.tip != Hash::ZERO {
                self.changes.changed().await.map_err(|_| errors::stopping())?;
                sleep_until(self.next_look).await;
            }
            self.look();
        }
    }
}

impl Images {
    /// Finds out which images may have changed since the last look, in memory alone.
    fn look(&mut self) {
        self.changes.mark_unchanged();
        self.next_look = Instant::now() + LOOK_AFTER;
        let snapshot = self.context.node.reader().snapshot();
        // Another branch may have sold the same in another block.
        let header = snapshot.tip.header.header();
        let is_extension = snapshot.tip.id() == self.tip || header.parent == self.tip;
        self.tip = snapshot.tip.id();
        for (index, image) in self.images.iter_mut().enumerate() {
            let seen = Some(market::see(&self.context, image.image));
            if image.seen != seen || !is_extension {
                image.seen = seen;
                self.changed.push_back(index);
            }
        }
    }

    /// What is to be told of an image, if it is news.
    async fn read(&mut self, index: usize) -> Result<Option<Availability>, RpcError> {
        let image = &mut self.images[index];
        // Looked at again with what is told: a change in between must not seem to be told.
        image.seen = Some(market::see(&self.context, image.image));
        let now = market::available(&self.context, image.image).await?;
        let told = Availability { tip: BlockRef { height: 0, hash: Hash::ZERO.into() }, ..now.clone() };
        let is_news = image.told.as_ref() != Some(&told);
        image.told = Some(told);
        Ok(is_news.then_some(now))
    }
}

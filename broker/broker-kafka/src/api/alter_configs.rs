//! AlterConfigs (33), versions 0–2: replaces all overrides of a resource by the given ones. Each resource succeeds or
//! fails by itself; `validate_only` changes nothing.
//!
//! Source: KIP-133, Kafka's `ConfigAdminManager`.

use broker_core::config::ConfigChange;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ResponseKind};

use super::config_resource::{Wanted, change_all};
use super::refusal::Refusal;
use super::text::{owned, text};
use crate::broker::Fatal;
use crate::context::Context;

pub(crate) async fn handle(
    context: &Context,
    request: AlterConfigsRequest,
) -> Result<ResponseKind, Fatal> {
    let wanted = request.resources.iter().map(|resource| {
        let configs =
            resource.configs.iter().map(|one| (one.name.to_string(), owned(one.value.as_ref())));
        Wanted {
            kind: resource.resource_type,
            name: resource.resource_name.to_string(),
            change: Ok(ConfigChange::Replace(configs.collect())),
        }
    });
    let mut response = AlterConfigsResponse::default();
    for changed in change_all(&*context.broker, wanted.collect(), request.validate_only).await? {
        let mut result = AlterConfigsResourceResponse::default();
        result.resource_type = changed.kind;
        result.resource_name = text(&changed.name);
        (result.error_code, result.error_message) = Refusal::fields(&changed.outcome);
        response.responses.push(result);
    }
    Ok(ResponseKind::AlterConfigs(response))
}

import type { PushRecord } from './push-record.ts';
import { isCounted } from './push-record.ts';

export interface StripeMapping {
  id: string;
  tenant: string;
  customer: string;
  event_name: string;
}

/** A mapping that cannot be billed until somebody decides. */
export interface MappingProblem {
  mapping_id: string;
  detail: string;
}

/**
 * Finds mappings that would bill the same usage twice: two that send one tenant to one meter, and one whose tenant
 * has been pushed to another customer in this period already. Both stop that tenant's pushes, not the others'.
 */
export const findMappingProblems = (
  mappings: readonly StripeMapping[],
  pushed: readonly PushRecord[],
): MappingProblem[] => {
  const problems: MappingProblem[] = [];
  for (const mapping of mappings) {
    const twin = mappings.find(
      (other) =>
        other.id !== mapping.id &&
        other.tenant === mapping.tenant &&
        other.event_name === mapping.event_name,
    );
    if (twin) {
      problems.push({
        mapping_id: mapping.id,
        detail: `Mappings ${mapping.id} and ${twin.id} both send tenant ${mapping.tenant} to meter ${mapping.event_name}, which would bill its usage twice. Delete one of them.`,
      });
      continue;
    }
    const elsewhere = pushed.filter(
      (push) =>
        push.tenant === mapping.tenant &&
        push.meter === mapping.event_name &&
        push.customer !== mapping.customer &&
        isCounted(push),
    );
    const held = elsewhere.reduce((sum, push) => sum + push.value, 0n);
    if (held !== 0n) {
      problems.push({
        mapping_id: mapping.id,
        detail: `Tenant ${mapping.tenant} has ${held} micro-USD of this period pushed to customer ${elsewhere[0]?.customer}, and mapping ${mapping.id} now names ${mapping.customer}. Map the tenant back until the period ends, or credit the first customer.`,
      });
    }
  }
  return problems;
};

const OPENAI_COLUMNS =
  'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id,organization_name';
const ANTHROPIC_COLUMNS =
  'usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed,api_key_id,api_key_status';

const quote = (text: string): string => (/[,"\t]/.test(text) ? `"${text}"` : text);

/** A costs export with the columns of the OpenAI dashboard. */
export const openaiCsv = (
  rows: readonly { day: string; item: string; amount: string }[],
  delimiter = ',',
): string =>
  [
    OPENAI_COLUMNS.replaceAll(',', delimiter),
    ...rows.map(({ day, item, amount }) =>
      [
        '1762128000',
        '1762214400',
        `${day}T00:00:00+00:00`,
        `${day}T23:59:59+00:00`,
        amount,
        amount === '' && item === '' ? '' : 'usd',
        quote(item),
        '',
        'org-1',
        'Personal',
      ].join(delimiter),
    ),
    '',
  ].join('\n');

export interface AnthropicRow {
  day: string;
  model: string;
  type: string;
  cost: string;
  usage?: string;
  costType?: string;
}

/** A cost export with the columns of the Claude Console. */
export const anthropicCsv = (rows: readonly AnthropicRow[]): string =>
  [
    ANTHROPIC_COLUMNS,
    ...rows.map(({ day, model, type, cost, usage = 'message', costType = 'token' }) =>
      [
        day,
        model,
        'Default',
        'key',
        usage,
        '≤ 200k',
        type,
        cost,
        cost,
        costType,
        'global',
        '',
        'apikey_1',
        'active',
      ].join(','),
    ),
    '',
  ].join('\n');

import { GROUP_SCHEMA, USER_SCHEMA } from './attributes.ts';
import { MOST_COUNTED } from './list.ts';

const RESOURCE_TYPE = 'urn:ietf:params:scim:schemas:core:2.0:ResourceType';
const SCHEMA = 'urn:ietf:params:scim:schemas:core:2.0:Schema';

/** What this service does, has, and keeps of each (RFC 7643 5 to 7), by its path. True, and no more. */
export function createDocuments(base: string): readonly { readonly path: string; readonly body: object }[] {
  const types = [renderType('User', 'Users', USER_SCHEMA, base), renderType('Group', 'Groups', GROUP_SCHEMA, base)];
  const schemas = [renderSchema(USER_SCHEMA, 'User', USER_ATTRIBUTES, base), renderSchema(GROUP_SCHEMA, 'Group', GROUP_ATTRIBUTES, base)];
  return [
    { path: '/ServiceProviderConfig', body: renderConfig(base) },
    { path: '/ResourceTypes', body: renderAll(types) },
    ...types.map((body) => ({ path: `/ResourceTypes/${body.id}`, body })),
    { path: '/Schemas', body: renderAll(schemas) },
    ...schemas.map((body) => ({ path: `/Schemas/${body.id}`, body })),
  ];
}

function renderConfig(base: string): object {
  const no = { supported: false };
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true }, bulk: { ...no, maxOperations: 0, maxPayloadSize: 0 }, filter: { supported: true, maxResults: MOST_COUNTED }, changePassword: no, sort: no, etag: no,
    authenticationSchemes: [{ type: 'oauthbearertoken', name: 'SCIM token', description: 'A token that an admin of the issuer made: vouch admin scim-tokens add', primary: true }],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base}/ServiceProviderConfig` },
  };
}

function renderType(name: string, endpoint: string, schema: string, base: string) {
  return { schemas: [RESOURCE_TYPE], id: name, name, endpoint: `/${endpoint}`, schema, meta: { resourceType: 'ResourceType', location: `${base}/ResourceTypes/${name}` } };
}

function renderSchema(id: string, name: string, attributes: readonly object[], base: string) {
  return { schemas: [SCHEMA], id, name, attributes, meta: { resourceType: 'Schema', location: `${base}/Schemas/${id}` } };
}

function renderAll(resources: readonly object[]): object {
  return { schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'], totalResults: resources.length, startIndex: 1, itemsPerPage: resources.length, Resources: resources };
}

const text = (name: string, description: string, more: object = {}) =>
  ({ name, type: 'string', description, multiValued: false, required: false, caseExact: false, mutability: 'readWrite', returned: 'default', uniqueness: 'none', ...more });

const USER_ATTRIBUTES = [
  text('userName', 'The e-mail address that the person is known by, in lower case, in a domain that the token is for.', { required: true, uniqueness: 'server' }),
  text('externalId', 'What the directory calls the account.', { caseExact: true }),
  text('displayName', 'The person’s name.'),
  {
    ...text('name', 'Another way to say the name: all of it, or both its parts.'), type: 'complex',
    subAttributes: [
      text('formatted', 'The whole name; the same as displayName.'),
      text('givenName', 'With familyName, and without the others, the name.', { mutability: 'writeOnly', returned: 'never' }),
      text('familyName', 'With givenName, and without the others, the name.', { mutability: 'writeOnly', returned: 'never' }),
    ],
  },
  { name: 'active', type: 'boolean', description: 'Without it nobody comes in by the account, and no token is exchanged.', multiValued: false, required: false, mutability: 'readWrite', returned: 'default' },
  {
    ...text('emails', 'The same as userName.', { mutability: 'readOnly' }), type: 'complex', multiValued: true,
    subAttributes: [text('value', 'The address.', { mutability: 'readOnly' }), text('type', 'Always work.', { mutability: 'readOnly' }), { name: 'primary', type: 'boolean', description: 'Always true.', multiValued: false, required: false, mutability: 'readOnly', returned: 'default' }],
  },
];

const GROUP_ATTRIBUTES = [
  text('displayName', 'What the directory calls the group; policies go on naming it by what it was called first.', { required: true }),
  text('externalId', 'What the directory calls the group.', { caseExact: true }),
  {
    ...text('members', 'Users of the domains that the token is for.'), type: 'complex', multiValued: true,
    subAttributes: [
      text('value', 'The user’s id.', { caseExact: true, mutability: 'immutable' }), text('display', 'The user’s e-mail.', { mutability: 'readOnly' }),
      text('type', 'Always User.', { mutability: 'readOnly', canonicalValues: ['User'] }), { ...text('$ref', 'Where the user is.', { mutability: 'readOnly' }), type: 'reference', referenceTypes: ['User'] },
    ],
  },
];

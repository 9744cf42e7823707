-- Uses of the key that byokdb does not explain. For Amazon Athena, on the table cloudtrail_logs of
-- https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table.html
-- Replace the key's ARN, the database id, the account and the dates. No rows is the good answer.
SELECT eventtime, eventname, errorcode, useridentity.accountid AS account, useridentity.arn AS principal,
       sourceipaddress, vpcendpointid, useragent, requestparameters, requestid
FROM cloudtrail_logs
WHERE eventsource = 'kms.amazonaws.com'
  AND eventtime BETWEEN '2026-11-01T00:00:00Z' AND '2026-12-01T00:00:00Z'
  AND any_match(resources, r -> r.arn = 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab')
  AND eventname IN ('Decrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'GenerateDataKeyPair',
                    'GenerateDataKeyPairWithoutPlaintext', 'Encrypt', 'ReEncrypt')
  AND NOT (
    coalesce(useridentity.accountid, '') = '111122223333'
    AND coalesce(useragent, '') LIKE '%app/byokdb%'
    AND (
      eventname IN ('Decrypt', 'GenerateDataKey')
      AND coalesce(json_extract_scalar(requestparameters, '$.encryptionContext["byokdb:database"]'), '')
          = '0123456789abcdef0123456789abcdef'
      AND coalesce(json_extract_scalar(requestparameters, '$.encryptionContext["byokdb:purpose"]'), '') = 'data'
      OR eventname = 'ReEncrypt'
      AND coalesce(json_extract_scalar(requestparameters, '$.sourceEncryptionContext["byokdb:database"]'), '')
          = '0123456789abcdef0123456789abcdef'
      AND coalesce(json_extract_scalar(requestparameters, '$.destinationEncryptionContext["byokdb:database"]'), '')
          = '0123456789abcdef0123456789abcdef'
    )
  )
ORDER BY eventtime

require 'json'

def lambda_handler(event:, context:)
  puts "called as #{context.invoked_function_arn}"
  { statusCode: 200, body: JSON.generate(hello: event['name'] || 'world') }
end

# What a small project deploys: a function with a version, an alias, a URL and a permission.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  skip_requesting_account_id = true
  skip_metadata_api_check    = true
}

variable "role" {}

resource "aws_lambda_function" "hello" {
  function_name    = "terraform-hello"
  filename         = "code.zip"
  source_code_hash = filebase64sha256("code.zip")
  runtime          = "python3.11"
  handler          = "lambda_function.lambda_handler"
  role             = var.role
  publish          = true
  environment {
    variables = { MARKER = "terraform" }
  }
  tags = { tool = "terraform" }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.hello.function_name
  function_version = aws_lambda_function.hello.version
}

resource "aws_lambda_function_url" "hello" {
  function_name      = aws_lambda_function.hello.function_name
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "events" {
  statement_id  = "events"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.hello.function_name
  principal     = "events.amazonaws.com"
}

output "name" { value = aws_lambda_function.hello.function_name }
output "url" { value = aws_lambda_function_url.hello.function_url }
